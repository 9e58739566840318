"""The tables of users, their sessions, second factors and tokens, of logins and the audit log: no patient's value."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from webapp.domain.database.changes import bookkeeping
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base, by_value, new_id


class Role(StrEnum):
    """What a user may do; each may what those before it may."""

    VIEWER = "viewer"
    RESEARCHER = "researcher"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether who has this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class User(Base):
    """A person. `users` alone writes it; it is never deleted, so that no other gets its rows."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    # In lower case.
    name: Mapped[str] = mapped_column(String(254), unique=True)
    role: Mapped[Role] = mapped_column(by_value(Role, "role"))
    # Of argon2id, with its parameters and salt; `passwords.NONE` where no password lets this user in.
    password_hash: Mapped[str] = mapped_column(Text)
    # Whom an OpenID Connect provider calls so (`oidc.subject_of`); None until they have logged in by it.
    subject: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    disabled_at: Mapped[datetime | None]
    # None: never, or not as whom `subject` names.
    logged_in_at: Mapped[datetime | None]
    # The second factor's secret, sealed; None where it is off. `second_factor` alone writes both.
    totp_secret: Mapped[str | None] = mapped_column(Text)
    # The step (RFC 6238) of the last code that was taken: none is taken twice, and none before it.
    totp_step: Mapped[int | None] = mapped_column(BigInteger)


@bookkeeping
class LoginSession(Base):
    """A browser that is logged in. The row, and not the cookie, says for how long."""

    __tablename__ = "sessions"

    # SHA-256 of the cookie's 256 random bits: a copy of the database opens no session.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    seen_at: Mapped[datetime] = mapped_column(default=database_now())

    user: Mapped[User] = relationship(lazy="raise")


@bookkeeping
class HalfLogin(Base):
    """A login whose password was right, and whose second factor is awaited: no session, and soon over."""

    __tablename__ = "half_logins"

    # SHA-256 of the cookie's 256 random bits.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now(), index=True)

    user: Mapped[User] = relationship(lazy="raise")


class RecoveryCode(Base):
    """A code that stands once in the place of the second factor's; the row goes when it is taken."""

    __tablename__ = "recovery_codes"

    # SHA-256 of the user's id and the code's 80 random bits, which are shown once.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)


@bookkeeping
class OidcLogin(Base):
    """A login that was begun at a provider, and is over once its answer has come."""

    __tablename__ = "oidc_logins"

    # SHA-256 of the secret in the browser's cookie: the `state` that the provider passes on.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now(), index=True)


class ApiToken(Base):
    """A program's way in, for its user and no further than its scopes."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    label: Mapped[str] = mapped_column(String(100))
    # SHA-256 of its 256 random bits, which are shown once.
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")


@bookkeeping
class LoginFailures(Base):
    """How often somebody gave a wrong password lately."""

    __tablename__ = "login_failures"

    # What is counted (a name, an address, both), hashed.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[datetime] = mapped_column(default=database_now(), index=True)
    count: Mapped[int]


@bookkeeping
class AuditEntry(Base):
    """One line of the audit log, chained to the one before it by `digest`. `audit` alone writes it: it appends."""

    __tablename__ = "audit_entries"

    # Without gaps, from 1.
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    # None: nobody was logged in.
    user_id: Mapped[str | None] = mapped_column(String(32))
    address: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(100))
    object_id: Mapped[str | None] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(20))
    details: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    digest: Mapped[str] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("digest"),
        Index("ix_audit_entries_user_id_number", "user_id", "number"),
        Index("ix_audit_entries_object_id_number", "object_id", "number"),
    )
