"""Passwords: argon2id, few at a time, and the same work for a name that nobody has."""

import threading
from functools import cache
from typing import TYPE_CHECKING

from webapp.domain.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# NIST SP 800-63B, 3.1.1: length is what counts; no rules of composition, no expiry.
SHORTEST = 12
LONGEST = 256
# Kept of a user without a password; no hash looks so.
NONE = "!"
# Each takes 64 MiB (RFC 9106, the second recommended option): a crowd of logins must not take the memory.
_AT_ONCE = threading.BoundedSemaphore(4)


def check(password: str, name: str) -> None:
    """Raises InvalidInput for a password that is too short, too long, or the user's own name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"A password has {SHORTEST} to {LONGEST} characters.")
    if name.lower() in password.lower() and len(password) < len(name) + SHORTEST:
        raise InvalidInput("A password is not the user's name with a few characters more.")


def hash_of(password: str) -> str:
    """What is kept of a password."""
    with _AT_ONCE:
        return _hasher().hash(password)


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one that was hashed; with none, or of a user that is not there, it takes as
    long."""
    is_one = password_hash not in (None, NONE)
    from argon2.exceptions import InvalidHashError, VerificationError

    with _AT_ONCE:
        try:
            kept = password_hash if password_hash is not None and is_one else _nobodys()
            return _hasher().verify(kept, password[: LONGEST + 1]) and is_one
        except (VerificationError, InvalidHashError):
            return False


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # not loaded where nobody logs in

    return PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash("of a user who is not there")
