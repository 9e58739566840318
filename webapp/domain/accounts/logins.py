"""From a name and a password to a session: by way of a second factor, where the user has one."""

import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webapp.domain.accounts import passwords, second_factor, sessions, throttle
from webapp.domain.accounts.identity import Identity
from webapp.domain.accounts.models import HalfLogin, User
from webapp.domain.accounts.second_factor import Factor
from webapp.domain.accounts.sessions import digest_of
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import NotLoggedIn, TooManyAttempts

# Time to find the telephone.
HALF_S = 5 * 60.0
OVER = "This login took too long, or is over; begin again."


class WrongPassword(Exception):
    """There is no such user, or the password is another. user_id: whose, for the audit log alone."""

    def __init__(self, message: str, user_id: str | None = None) -> None:
        super().__init__(message)
        self.user_id = user_id


@dataclass(frozen=True)
class Login:
    """A session that has begun: what its cookie, or a viewer's header, holds, and whose it is."""

    token: str
    identity: Identity
    factor: Factor | None = None


@dataclass(frozen=True)
class Half:
    """A right password whose second factor is awaited: what the browser's cookie holds, and whose it is."""

    token: str
    user_id: str


def log_in(database: Database, name: str, password: str, address: str) -> Login | Half:
    """A new session; of a user with a second factor a login that waits for it.

    Raises WrongPassword, with the same words and after the same work whether there is such a user, TooManyAttempts.
    """
    user = prove(database, name, password, address)
    with database.write() as session:
        if user.totp_secret is None:
            throttle.forget(session, user.name, address)
            return Login(sessions.start(session, user), sessions.identity_of(user))
        token = secrets.token_urlsafe(32)
        session.execute(delete(HalfLogin).where(HalfLogin.created_at < database_now(-HALF_S)))
        session.add(HalfLogin(id=digest_of(token), user_id=user.id))
    return Half(token, user.id)


def log_in_viewer(database: Database, policy: str, name: str, password: str, address: str) -> Login:
    """A new session of a viewer, which cannot ask for a code: a user who has a second factor, or must have one by the
    policy of the settings, is refused as a wrong password is. Raises as `log_in`."""
    user = prove(database, name, password, address)
    if user.totp_secret is not None or second_factor.is_required(policy, user.role):
        raise WrongPassword("The password alone lets nobody in who has, or must have, a second factor.", user.id)
    with database.write() as session:
        throttle.forget(session, user.name, address)
        return Login(sessions.start(session, user, sessions.VIEWER_PREFIX), sessions.identity_of(user))


def finish(database: Database, secret_key: str, token: str, code: str, address: str) -> Login:
    """End a login that waits, with a code of the authenticator or a recovery code.

    Raises NotLoggedIn where it took too long, WrongCode, TooManyAttempts.
    """
    user = awaited(database, token)
    if user is None:
        raise NotLoggedIn(OVER)
    count_code(database, user, address)
    with database.write() as session:
        # First: whoever ended all logins of the user in the meantime has ended this one.
        waiting = session.get(HalfLogin, digest_of(token), with_for_update=True)
        if waiting is None:
            raise NotLoggedIn(OVER)
        taken = second_factor.take(session, secret_key, user, code)
        throttle.forget(session, user.name, address)
        session.delete(waiting)
        return Login(sessions.start(session, user), sessions.identity_of(user), taken)


def awaited(database: Database, token: str) -> User | None:
    """Whose login waits for a code; None where it is over, or none."""
    is_live = (HalfLogin.id == digest_of(token)) & (HalfLogin.created_at > database_now(-HALF_S))
    with database.read() as session:
        statement = select(User).join(HalfLogin.user).where(is_live, User.disabled_at.is_(None))
        return session.scalar(statement)


def restart(session: Session, user: User, address: str) -> str:
    """End every session of a user who has just proved who they are, and begin one: what its cookie holds."""
    sessions.end_all(session, user.id)
    throttle.forget(session, user.name, address)
    return sessions.start(session, user)


def prove(database: Database, name: str, password: str, address: str) -> User:
    """The user of this name and password, each attempt counted. Raises as `log_in`."""
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
        raise WrongPassword("The name or the password is wrong.", user.id if user is not None else None)
    return user


def confirm(database: Database, secret_key: str, name: str, password: str, code: str, address: str) -> None:
    """Who is logged in shows again that it is they, by all that a login asks them for. Raises WrongPassword,
    WrongCode, TooManyAttempts."""
    user = prove(database, name, password, address)
    if user.totp_secret is not None:
        count_code(database, user, address)
    with database.write() as session:
        if user.totp_secret is not None:
            second_factor.take(session, secret_key, user, code)
        throttle.forget(session, user.name, address)


def count_code(database: Database, user: User, address: str) -> None:
    """Count an attempt at a user's second factor. Raises TooManyAttempts."""
    with database.write() as session:
        may_try = throttle.try_code(session, user.name, address)
    if not may_try:
        raise TooManyAttempts("Too many wrong codes; wait a quarter of an hour, then begin again.")
