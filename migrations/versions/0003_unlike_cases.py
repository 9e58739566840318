"""Keep what the input check says of a case

Revision: 0003
Revises: 0002
Created: 2026-11-25 12:45:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("is_unlike", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluation_cases", "is_unlike")
