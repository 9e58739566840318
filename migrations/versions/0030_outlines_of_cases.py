"""Keep both masks of a case on a small grid: whether they would agree better turned or mirrored is asked of all

Revision: 0030
Revises: 0029
Created: 2026-11-29 16:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("outlines", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluation_cases", "outlines")
