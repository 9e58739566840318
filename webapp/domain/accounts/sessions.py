"""Sessions: their begin, and what ends them. The cookie holds 256 random bits; all else is in the database."""

import hashlib
import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from webapp.domain.accounts.identity import Identity
from webapp.domain.accounts.models import HalfLogin, LoginSession, User
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database

IDLE_S = 30 * 60.0
ABSOLUTE_S = 12 * 3600.0
# A sign of life is written no more often: most requests only read.
SEEN_EVERY_S = 60.0
# Of a login that a viewer sends in a header, and no cookie holds: scanners for leaked secrets find it by this.
VIEWER_PREFIX = "glioscope_login_"


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
    return identity_of(found.User)


def identity_of(user: User) -> Identity:
    """Who a user's session says that asks."""
    return Identity(user.id, user.name, user.role, has_second_factor=user.totp_secret is not None)


def log_out(database: Database, token: str) -> None:
    """End the session; nothing where it is none."""
    with database.write() as session:
        session.execute(delete(LoginSession).where(LoginSession.id == digest_of(token)))


def end_all(session: Session, user_id: str) -> None:
    """End every session of a user, and every login that waits for a second factor."""
    for table in (LoginSession, HalfLogin):
        session.execute(delete(table).where(table.user_id == user_id))


def digest_of(token: str) -> str:
    """What the database keeps of a secret of 256 random bits, which needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
