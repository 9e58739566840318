"""Keep what a scan's warnings mean in it: which files, which slices

Revision: 0019
Revises: 0018
Created: 2026-11-29 05:50:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("warning_details", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "warning_details")
