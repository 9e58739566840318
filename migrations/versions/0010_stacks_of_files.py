"""Keep the files that a stack was made of

Revision: 0010
Revises: 0009
Created: 2026-11-28 18:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("slice_names", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "slice_names")
