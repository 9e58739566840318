"""Texts that have another in them, found by an index on PostgreSQL.

There a column beside the text has the groups of three letters that it is made of, as the extension pg_trgm would index
it, which only a superuser may install: PostgreSQL keeps it (migration 0033), no model names it, and the arrays' own
index finds it. On SQLite an index with the text alone is read.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text, and_, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

GROUP = 3
# What PostgreSQL alone has, and models do not name.
COLUMN = "search_groups"
INDEX = "ix_scans_search_groups"


def has_rare_text(session: Session, column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """The condition that a column, whose table has `COLUMN`, has the text in it; made for texts that few rows have."""
    has = column.contains(text, autoescape=True)
    if session.get_bind().dialect.name != "postgresql" or len(text) < GROUP:
        return has
    groups = literal_column(f"{column.class_.__tablename__}.{COLUMN}", ARRAY(Text))
    return and_(groups.contains(func.glioscope_groups(text, type_=ARRAY(Text))), has)
