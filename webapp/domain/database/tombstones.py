"""What stays of a deleted scan or evaluation: that it was, and when it went."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base


class Tombstone(Base):
    """What is left of a deleted object: that it was, and when it went. Nothing of its content."""

    __tablename__ = "tombstones"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    deleted_at: Mapped[datetime] = mapped_column(default=database_now())
