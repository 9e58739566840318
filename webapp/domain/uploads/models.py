"""The table of Idempotency-Keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from webapp.domain.database.changes import bookkeeping
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base


@bookkeeping
class IdempotencyKey(Base):
    """One Idempotency-Key of a POST, and what was answered: ids and codes, never names."""

    __tablename__ = "idempotency_keys"

    # The caller, the route and the client's key, hashed together.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    # Set anew while the first request runs.
    created_at: Mapped[datetime] = mapped_column(default=database_now(), index=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
