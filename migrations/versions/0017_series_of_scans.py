"""Keep what may be said of a DICOM series

Revision: 0017
Revises: 0016
Created: 2026-11-29 02:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("series", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "series")
