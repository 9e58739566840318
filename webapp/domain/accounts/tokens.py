"""API tokens: shown once, kept hashed, with scopes and an end."""

import secrets
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.accounts.identity import Identity, Scope
from webapp.domain.accounts.models import ApiToken, Role, User
from webapp.domain.accounts.sessions import digest_of
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import is_id
from webapp.domain.errors import InvalidInput, NotFound

# Scanners for leaked secrets find it by this.
PREFIX = "glioscope_"
MOST_DAYS = 366
DEFAULT_DAYS = 90
LONGEST_LABEL = 100
MOST_OF_A_USER = 50


def create(
    session: Session, user: User, label: str, scopes: Iterable[Scope], days: int = DEFAULT_DAYS
) -> tuple[ApiToken, str]:
    """A new token, and its text, which nobody sees again. Raises InvalidInput."""
    label, wanted = " ".join(label.replace("\0", "").split()), sorted(set(scopes))
    if not 0 < len(label) <= LONGEST_LABEL:
        raise InvalidInput(f"A token has a label of 1 to {LONGEST_LABEL} characters: what it is for.")
    if not wanted:
        raise InvalidInput("A token has at least one scope.")
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"A token lasts 1 to {MOST_DAYS} days.")
    if Scope.METRICS in wanted and user.role is not Role.ADMIN:
        raise InvalidInput("Only an administrator's token reads the metrics.")
    if len(of_user(session, user.id)) >= MOST_OF_A_USER:
        raise InvalidInput(f"A user has at most {MOST_OF_A_USER} tokens; revoke one first.")
    text = PREFIX + secrets.token_urlsafe(32)
    expires_at = session.scalar(select(database_now(days * 86_400)))
    row = ApiToken(
        user_id=user.id,
        label=label,
        digest=digest_of(text),
        scopes=[str(scope) for scope in wanted],
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row, text


def resolve(session: Session, text: str) -> Identity | None:
    """Whose token it is; None where it is revoked, over, of a disabled user, or none."""
    statement = (
        select(ApiToken.scopes, User)
        .join(ApiToken.user)
        .where(
            ApiToken.digest == digest_of(text),
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at > database_now(),
            User.disabled_at.is_(None),
        )
    )
    found = session.execute(statement).first()
    if found is None:
        return None
    return Identity(found.User.id, found.User.name, found.User.role, frozenset(map(Scope, found.scopes)))


def of_user(session: Session, user_id: str) -> list[ApiToken]:
    """The tokens of a user that are not revoked, newest first."""
    own = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    return list(session.scalars(own.order_by(ApiToken.created_at.desc(), ApiToken.id)))


def revoke(session: Session, token_id: str, user_id: str | None = None) -> None:
    """End a token, at once and for good. user_id: whose it must be; None: anybody's. Raises NotFound."""
    row = session.get(ApiToken, token_id) if is_id(token_id) else None
    if row is None or user_id not in (None, row.user_id):
        raise NotFound("There is no such token.")
    row.revoked_at = row.revoked_at or session.scalar(select(database_now()))
