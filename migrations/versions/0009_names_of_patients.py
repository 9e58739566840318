"""Keep the names of patients as they are searched

Revision: 0009
Revises: 0008
Created: 2026-11-28 18:05:00
"""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_patients", sa.Column("search_name", sa.Text(), nullable=False, server_default=""))
    patients = sa.table(
        "evaluation_patients",
        *(sa.column(name) for name in ("evaluation_id", "position", "patient", "search_name")),
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(patients.c.evaluation_id, patients.c.position, patients.c.patient)).all()
    of_row = sa.and_(patients.c.evaluation_id == sa.bindparam("row"), patients.c.position == sa.bindparam("place"))
    keys = [{"row": row.evaluation_id, "place": row.position, "search_name": _search_key(row.patient)} for row in rows]
    if keys:
        connection.execute(patients.update().where(of_row), keys)


def downgrade() -> None:
    op.drop_column("evaluation_patients", "search_name")


def _search_key(name: str) -> str:
    """As of this revision: composed and case-folded, which no database does."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
