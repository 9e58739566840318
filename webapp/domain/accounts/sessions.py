"""Logging in, staying so, and its end. The cookie holds 256 random bits; all else is in the database."""

import hashlib
import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from webapp.domain.accounts import passwords, throttle
from webapp.domain.accounts.identity import Identity
from webapp.domain.accounts.models import LoginSession, User
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import TooManyAttempts

IDLE_S = 30 * 60.0
ABSOLUTE_S = 12 * 3600.0
# A sign of life is written no more often: most requests only read.
SEEN_EVERY_S = 60.0
# Of a login that a viewer sends in a header, and no cookie holds: scanners for leaked secrets find it by this.
VIEWER_PREFIX = "glioscope_login_"


class WrongPassword(Exception):
    """There is no such user, or the password is another."""


def log_in(
    database: Database, name: str, password: str, address: str, *, is_viewer: bool = False
) -> tuple[str, Identity]:
    """A new session: what its cookie, or a viewer's header, holds, and whose it is.

    Raises WrongPassword, with the same words and after the same work whether there is such a user, TooManyAttempts.
    """
    name = name.strip().lower()[:256].replace("\0", "")
    with database.write() as session:
        may_try = throttle.try_once(session, name, address)
    if not may_try:
        raise TooManyAttempts("Too many wrong passwords; wait a quarter of an hour, then try again.")
    with database.read() as session:
        user = session.scalar(select(User).where(User.name == name))
    # Outside of a transaction: the hash takes its time.
    is_right = passwords.is_right(password, user.password_hash if user is not None else None)
    if user is None or not is_right or user.disabled_at is not None:
        raise WrongPassword("The name or the password is wrong.")
    with database.write() as session:
        throttle.forget(session, name, address)
        token = start(session, user, VIEWER_PREFIX if is_viewer else "")
    return token, Identity(user.id, user.name, user.role)


def start(session: Session, user: User, prefix: str = "") -> str:
    """A new session of a user who has shown who they are: what its cookie holds."""
    token = prefix + secrets.token_urlsafe(32)
    session.execute(delete(LoginSession).where(LoginSession.created_at < database_now(-ABSOLUTE_S)))
    session.add(LoginSession(id=digest_of(token), user_id=user.id))
    session.execute(update(User).where(User.id == user.id).values(logged_in_at=database_now()))
    return token


def resume(database: Database, token: str) -> Identity | None:
    """Whose session this is; None where it is over, or none."""
    own = LoginSession.id == digest_of(token)
    is_live = (LoginSession.seen_at > database_now(-IDLE_S)) & (LoginSession.created_at > database_now(-ABSOLUTE_S))
    with database.read() as session:
        is_old = (LoginSession.seen_at < database_now(-SEEN_EVERY_S)).label("is_old")
        found = session.execute(
            select(User, is_old).join(LoginSession.user).where(own, is_live, User.disabled_at.is_(None))
        ).first()
    if found is None:
        return None
    if found.is_old:
        with database.write() as session:
            session.execute(update(LoginSession).where(own).values(seen_at=database_now()))
    return Identity(found.User.id, found.User.name, found.User.role)


def log_out(database: Database, token: str) -> None:
    """End the session; nothing where it is none."""
    with database.write() as session:
        session.execute(delete(LoginSession).where(LoginSession.id == digest_of(token)))


def digest_of(token: str) -> str:
    """What the database keeps of a secret of 256 random bits, which needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
