"""Keep where the voxels of a scan's file lie

Revision: 0015
Revises: 0014
Created: 2026-11-28 21:30:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("geometry", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "geometry")
