"""Users: made, found, given a role or a password, disabled. There is always an administrator left."""

import re

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.domain.accounts import passwords, second_factor, sessions
from webapp.domain.accounts.models import Role, User
from webapp.domain.database.clock import database_now
from webapp.domain.errors import Conflict, InvalidInput, NotFound

# An e-mail address is a name: RFC 5321, 4.5.3.1, has 254 characters of it; what else it may hold is rare.
LONGEST_NAME = 254
_NAME = re.compile(rf"[a-z0-9][a-z0-9._@+'-]{{1,{LONGEST_NAME - 1}}}")
NO_ADMINISTRATOR = (
    "There is no administrator; make one: `flask --app wsgi migrate`, then `flask --app wsgi users create NAME --role"
    " admin`."
)
NO_OIDC_ADMINISTRATOR = (
    "There is no administrator who could log in by OpenID Connect; invite one by the e-mail address that the provider"
    " knows: `flask --app wsgi migrate`, then `flask --app wsgi users create E-MAIL --role admin --no-password`."
)


def clean_name(name: str) -> str:
    """A user's name in lower case. Raises InvalidInput."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"A user's name has 2 to {LONGEST_NAME} letters a to z, digits, and the characters . _ @ + ' -."
        )
    return name


def is_name(name: str) -> bool:
    """Whether a user may be called so."""
    return _NAME.fullmatch(name) is not None


def create(session: Session, name: str, password: str | None, role: Role, subject: str | None = None) -> str:
    """A new user's id. password: None for one who logs in by OpenID Connect alone: invited by an e-mail address as
    the name, or by the `subject` as `oidc.subject_of` gives it. Raises InvalidInput, Conflict."""
    name = clean_name(name)
    if password is not None:
        passwords.check(password, name)
    kept = passwords.hash_of(password) if password is not None else passwords.NONE
    user = User(name=name, role=role, password_hash=kept, subject=subject)
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError as error:
        raise Conflict(f"There is a user {name} already, or another one with this subject.") from error
    return user.id


def of_subject(session: Session, subject: str) -> User | None:
    """The user who is bound to a provider's subject."""
    return session.scalar(select(User).where(User.subject == subject))


def invited(session: Session, email: str) -> User | None:
    """The user of this address who has never logged in by OpenID Connect."""
    return session.scalar(select(User).where(User.name == email, User.subject.is_(None)).with_for_update())


def bind(session: Session, user: User, subject: str | None) -> None:
    """Bind the user to another person of the provider, or to none until an invitation is taken. Ends all sessions.
    Raises Conflict."""
    if subject is not None and (other := of_subject(session, subject)) is not None and other.id != user.id:
        raise Conflict(f"The user {other.name} has this subject.")
    user.subject = subject
    user.logged_in_at = None
    sessions.end_all(session, user.id)


def named(session: Session, name: str) -> User:
    """The user of a name. Raises NotFound."""
    user = session.scalar(select(User).where(User.name == name.strip().lower()).with_for_update())
    if user is None:
        raise NotFound("There is no such user.")
    return user


def left(session: Session, name: str) -> User:
    """A user of a name who is let in no more. Raises NotFound, Conflict."""
    user = named(session, name)
    if user.disabled_at is None:
        raise Conflict(f"{user.name} can still log in; disable the user first.")
    return user


def every(session: Session) -> list[User]:
    """All users, by name."""
    return list(session.scalars(select(User).order_by(User.name)))


def has_administrator(session: Session, *, by_oidc: bool = False) -> bool:
    """Whether an administrator can log in: with a password, or by OpenID Connect as one bound or invited."""
    way = User.subject.is_not(None) | User.name.contains("@") if by_oidc else User.password_hash != passwords.NONE
    return bool(session.scalar(select(exists().where(User.role == Role.ADMIN, User.disabled_at.is_(None), way))))


def set_role(session: Session, user: User, role: Role, *, by_oidc: bool = False) -> None:
    """Raises Conflict for the last administrator who can log in."""
    if role is not Role.ADMIN:
        _keep_an_administrator(session, user, by_oidc=by_oidc)
    user.role = role


def set_password(session: Session, user: User, password: str) -> None:
    """A new password, which ends every session of the user. Raises InvalidInput."""
    passwords.check(password, user.name)
    user.password_hash = passwords.hash_of(password)
    sessions.end_all(session, user.id)


def reset_second_factor(session: Session, user: User) -> None:
    """Take it off who has lost it; it ends every session of the user. Raises Conflict where there is none."""
    if user.totp_secret is None:
        raise Conflict(f"The user {user.name} has no second factor.")
    second_factor.turn_off(session, user)
    sessions.end_all(session, user.id)


def disable(session: Session, user: User, *, by_oidc: bool = False) -> None:
    """End the user's sessions and tokens, and let no new one in; scans stay. Raises Conflict for the last
    administrator who can log in."""
    _keep_an_administrator(session, user, by_oidc=by_oidc)
    user.disabled_at = session.scalar(select(database_now()))
    sessions.end_all(session, user.id)


def enable(user: User) -> None:
    """Let a disabled user in again."""
    user.disabled_at = None


def _keep_an_administrator(session: Session, user: User, *, by_oidc: bool) -> None:
    """Raises Conflict where nobody would be left. One who was invited to a provider's login and has not come does not
    count beside one who has; a password was given by an administrator, and lets in."""
    # All of them are locked, in one order: two who demote each other do not both succeed.
    active = (User.role == Role.ADMIN) & User.disabled_at.is_(None)
    everybody = session.scalars(select(User).where(active).order_by(User.id).with_for_update()).all()
    can_log_in = {one.id: (one.logged_in_at is not None) if by_oidc else _has_password(one) for one in everybody}
    others = [is_able for user_id, is_able in can_log_in.items() if user_id != user.id]
    if user.id not in can_log_in or any(others):
        return
    if can_log_in[user.id] or not others:
        invited = " Others are invited as administrators, and have not logged in yet." if others and by_oidc else ""
        raise Conflict(f"This is the last administrator who can log in; make another one first.{invited}")


def _has_password(user: User) -> bool:
    return user.password_hash != passwords.NONE
