"""Which database this is: where two share a store of files, none takes the other's for left over."""

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.domain.database.orm import Base


class Identity(Base):
    """One row, made with the table: a backup that is restored, or rows that move to PostgreSQL, stay the same one."""

    __tablename__ = "identity"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)


def identity_of(session: Session) -> str:
    """32 hexadecimal digits."""
    return session.scalars(select(Identity.id)).one()
