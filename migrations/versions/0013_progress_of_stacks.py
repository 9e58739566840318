"""How far the network is in a stack

Revision: 0013
Revises: 0012
Created: 2026-11-28 21:30:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segmentations", sa.Column("slices_done", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("segmentations", "slices_done")
