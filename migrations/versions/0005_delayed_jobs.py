"""Delay and count the releases of a job; name a scan's run by what it is: the displayed one

Revision: 0005
Revises: 0004
Created: 2026-11-28 05:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_JOB_TABLES = ("segmentations", "evaluation_chunks")


def upgrade() -> None:
    for table in _JOB_TABLES:
        op.add_column(table, sa.Column("releases", sa.Integer(), nullable=False, server_default="0"))
        op.add_column(table, sa.Column("not_before", sa.DateTime(timezone=True), nullable=True))
    # Both databases rename a column in place, and wherever it is used. The names of its constraints stay: to change
    # those, SQLite would have to copy the table.
    op.execute("ALTER TABLE scans RENAME COLUMN shown_id TO displayed_id")


def downgrade() -> None:
    op.execute("ALTER TABLE scans RENAME COLUMN displayed_id TO shown_id")
    for table in _JOB_TABLES:
        op.drop_column(table, "not_before")
        op.drop_column(table, "releases")
