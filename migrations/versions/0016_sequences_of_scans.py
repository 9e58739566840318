"""Keep which sequence a scan's file says that it is

Revision: 0016
Revises: 0015
Created: 2026-11-29 01:50:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("sequence", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "sequence")
