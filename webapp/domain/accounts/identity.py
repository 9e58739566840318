"""Who asks."""

from dataclasses import dataclass
from enum import StrEnum

from webapp.domain.accounts.models import Role


class Scope(StrEnum):
    """What an API token may be used for; its user's role stays the limit."""

    READ = "read"
    WRITE = "write"
    # The figures of /metrics, of the whole portal: an administrator's token alone.
    METRICS = "metrics"


@dataclass(frozen=True)
class Identity:
    """A user who has shown a session or a token.

    scopes: of the token; None for a session, which has no limits. has_second_factor: of a session's user.
    """

    user_id: str
    name: str
    role: Role
    scopes: frozenset[Scope] | None = None
    has_second_factor: bool = False

    @property
    def is_token(self) -> bool:
        """Whether a program asks."""
        return self.scopes is not None
