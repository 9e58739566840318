"""The second factor of a password: codes of the user's own authenticator (TOTP, RFC 6238), and recovery codes.

The secret is shown while it is set up, and then kept sealed; recovery codes are kept hashed. A code is taken once.
"""

import hashlib
import re
import secrets
from enum import StrEnum
from typing import cast

from sqlalchemy import CursorResult, Delete, Update, delete, func, select, update
from sqlalchemy.orm import Session

from webapp.domain.accounts import sealing
from webapp.domain.accounts.models import RecoveryCode, Role, User
from webapp.domain.database.changes import BESIDE
from webapp.domain.errors import Conflict, InvalidInput

# RFC 6238, 4 and 5.2: steps of 30 s, and one step of drift, which is the time that it takes to type, too.
STEP_S = 30
DRIFT = 1
DIGITS = 6
RECOVERY_CODES = 10
# Whoever wants to read the secret from a screen does so within this time.
SET_UP_S = 15 * 60
ISSUER = "Glioscope"
# Without 0, 1, l and o, which are taken for one another: 5 bits each.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS = 4
_KEPT, _BEGUN = "second factor", "second factor being set up"
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")


class WrongCode(Exception):
    """The code is none of this user's, was taken before, or is of another time."""


class Factor(StrEnum):
    """What a user has shown beside the password, as the audit log calls it."""

    AUTHENTICATOR = "authenticator"
    RECOVERY = "recovery"


def is_required(policy: str, role: Role) -> bool:
    """Whether users of this role must have one. policy: of GLIOSCOPE_SECOND_FACTOR."""
    return policy == "all" or (policy == "admins" and role is Role.ADMIN)


def begin(secret_key: str, user_id: str) -> str:
    """A new secret of 160 bits (RFC 4226, 4), sealed for this user and for SET_UP_S."""
    import pyotp

    return sealing.seal(secret_key, _BEGUN, f"{user_id} {pyotp.random_base32()}")


def secret_of(secret_key: str, user_id: str, begun: str) -> str:
    """The secret that `begin` made, in base 32. Raises InvalidInput where it is over or another's."""
    owner, _, secret = (sealing.unseal(secret_key, _BEGUN, begun, SET_UP_S) or "").partition(" ")
    if owner != user_id or not secret:
        raise InvalidInput(f"This secret was shown more than {SET_UP_S // 60} minutes ago; begin again.")
    return secret


def address_of(secret: str, name: str) -> str:
    """The `otpauth:` address that an authenticator reads from a picture."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def turn_on(session: Session, secret_key: str, user: User, secret: str, code: str) -> list[str]:
    """Keep a secret once a code of it has come; the recovery codes, which nobody sees again.

    Raises WrongCode, Conflict.
    """
    if user.totp_secret is not None:
        raise Conflict("You have a second factor already; turn it off first.")
    step = _step_of(secret, _clean(code))
    user.totp_secret, user.totp_step = sealing.seal(secret_key, _KEPT, f"{user.id} {secret}"), step
    return renew_recovery(session, user)


def turn_off(session: Session, user: User) -> None:
    """Without a second factor, and without recovery codes."""
    user.totp_secret = user.totp_step = None
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def renew_recovery(session: Session, user: User) -> list[str]:
    """New recovery codes in the place of the old ones, in groups of four letters."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(4 * _GROUPS)) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(id=_digest(user.id, code), user_id=user.id) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def recovery_left(session: Session, user_id: str) -> int:
    """How many recovery codes were not taken yet."""
    return session.scalar(select(func.count()).where(RecoveryCode.user_id == user_id)) or 0


def take(session: Session, secret_key: str, user: User, code: str) -> Factor:
    """Take a code of the authenticator, or a recovery code, for good. Raises WrongCode.

    Where the server's secret key is another than when the secret was kept, recovery codes alone are right.
    """
    code = _clean(code)
    if not _CODE.fullmatch(code):
        own = delete(RecoveryCode).where(RecoveryCode.id == _digest(user.id, code), RecoveryCode.user_id == user.id)
        if _changed(session, own.execution_options(**BESIDE)) != 1:
            raise WrongCode
        return Factor.RECOVERY
    owner, _, secret = (sealing.unseal(secret_key, _KEPT, user.totp_secret or "") or "").partition(" ")
    if owner != user.id:
        raise WrongCode
    step = _step_of(secret, code)
    # Of two that come with one code at once, one changes the row.
    is_newer = (User.id == user.id) & (User.totp_secret == user.totp_secret) & (User.totp_step < step)
    is_taken = update(User).where(is_newer).values(totp_step=step).execution_options(**BESIDE)
    if _changed(session, is_taken) != 1:
        raise WrongCode
    return Factor.AUTHENTICATOR


def _step_of(secret: str, code: str) -> int:
    """The step whose code this is, near to now. Raises WrongCode."""
    import pyotp
    from pyotp.exceptions import OTPVerificationError

    try:
        return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).verify_and_get_timecode(code, valid_window=DRIFT)
    except OTPVerificationError as error:
        raise WrongCode from error


def _clean(code: str) -> str:
    """As it was typed, without what groups it."""
    return re.sub(r"[\s-]", "", code[:100]).lower()


def _digest(user_id: str, code: str) -> str:
    return hashlib.sha256(f"{user_id} {code}".encode()).hexdigest()


def _changed(session: Session, statement: Delete | Update) -> int:
    """How many rows it changed."""
    return cast("CursorResult[object]", session.execute(statement)).rowcount
