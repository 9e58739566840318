"""Give scans, studies and evaluations an owner; what is there belongs to the implicit local user

Revision: 0020
Revises: 0019
Created: 2026-11-29 06:05:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLES = ("scans", "studies", "evaluations")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("owner_id", sa.String(32), server_default="local", nullable=False))
        op.create_index(f"ix_{table}_owner_id_created_at_id", table, ["owner_id", "created_at", "id"])


def downgrade() -> None:
    for table in TABLES:
        op.drop_index(f"ix_{table}_owner_id_created_at_id", table)
        op.drop_column(table, "owner_id")
