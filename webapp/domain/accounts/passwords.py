"""Passwords: argon2id, few at a time, and the same work for a name that nobody has. New ones are not easy to guess."""

import re
import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from webapp.domain.errors import InvalidInput

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# NIST SP 800-63B, 3.1.1: length is what counts; no rules of composition, no expiry; what is tried first is refused.
SHORTEST = 12
LONGEST = 256
# Of zxcvbn (Wheeler, USENIX Security 2016): from 3 on a password takes 10^8 guesses and more.
LOWEST_SCORE = 3
# Its work grows with the square of the length, and it takes no more; what begins well does not end badly.
_LOOKED_AT = 72
# What belongs to the portal, and not to its user alone.
_OURS = ("glioscope", "braintumor", "brain", "tumor", "radiology", "mri")
# Kept of a user without a password; no hash looks so.
NONE = "!"
# Each takes 64 MiB (RFC 9106, the second recommended option): a crowd of logins must not take the memory.
_AT_ONCE = threading.BoundedSemaphore(4)
# zxcvbn keeps the words of whoever asks in a table that all threads share.
_ONE_ESTIMATE = threading.Lock()


def check(password: str, name: str) -> None:
    """Raises InvalidInput for a password that is too short, too long, the user's own name, or easy to guess."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"A password has {SHORTEST} to {LONGEST} characters.")
    if name.lower() in password.lower() and len(password) < len(name) + SHORTEST:
        raise InvalidInput("A password is not the user's name with a few characters more.")
    if (why := _why_it_is_easy(password, name)) is not None:
        raise InvalidInput(f"This password is easy to guess. {why}")


def _why_it_is_easy(password: str, name: str) -> str | None:
    """A sentence or two, which do not repeat it; None where it is not."""
    import zxcvbn  # its lists take 30 ms to load

    parts = re.split(r"[^a-z0-9]+", name.partition("@")[0].lower())
    of_user = [name, "".join(parts), *parts, *re.split(r"[^a-z0-9]+", name.partition("@")[2].lower()), *_OURS]
    with _ONE_ESTIMATE:
        found = zxcvbn.zxcvbn(password[:_LOOKED_AT], user_inputs=of_user)
    if found["score"] >= LOWEST_SCORE:
        return None
    feedback = found["feedback"]
    return " ".join(filter(None, [feedback["warning"], *feedback["suggestions"][:1]]))


def hash_of(password: str) -> str:
    """What is kept of a password."""
    with _AT_ONCE:
        return _hasher().hash(_normal(password))


def _normal(password: str) -> str:
    """In one form, whichever a keyboard or a system sends an accent in (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one that was hashed; with none, or of a user that is not there, it takes as
    long."""
    is_one = password_hash not in (None, NONE)
    kept = password_hash if password_hash is not None and is_one else _nobodys()
    typed = password[: LONGEST + 1]
    # Earlier ones were hashed as they came.
    return any(_matches(form, kept) for form in dict.fromkeys((_normal(typed), typed))) and is_one


def _matches(password: str, kept: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    with _AT_ONCE:
        try:
            return _hasher().verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # not loaded where nobody logs in

    return PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash("of a user who is not there")
