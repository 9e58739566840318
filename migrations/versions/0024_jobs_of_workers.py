"""Keep which jobs a worker does

Revision: 0024
Revises: 0023
Created: 2026-11-29 09:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("jobs", sa.String(length=20), server_default="all", nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "jobs")
