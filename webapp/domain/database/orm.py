"""What every table is made of: the names of constraints, ids, and enums stored by value."""

import re
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import Enum, MetaData
from sqlalchemy.orm import DeclarativeBase

from webapp.domain.database.clock import UtcDateTime


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy's own form


def new_id() -> str:
    """32 hexadecimal digits, 122 of their bits random: not to be guessed."""
    return uuid4().hex


def is_id(text: object) -> bool:
    """Whether the text can be one of our ids; PostgreSQL refuses some others (a zero byte) with an error."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text) is not None


def by_value(enum: type[StrEnum], name: str) -> Enum:
    """A column of an enum's values, as text with a check, on both databases."""
    return Enum(
        enum,
        name=name,
        native_enum=False,
        length=20,
        create_constraint=True,
        values_callable=lambda e: [m.value for m in e],
    )
