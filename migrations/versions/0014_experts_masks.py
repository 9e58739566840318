"""Keep an expert's mask beside its scan

Revision: 0014
Revises: 0013
Created: 2026-11-28 21:30:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("orientations", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("scans", sa.Column("truth", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "truth")
    op.drop_column("scans", "orientations")
