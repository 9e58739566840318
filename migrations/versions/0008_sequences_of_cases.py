"""Keep what the sequence check says of a case

Revision: 0008
Revises: 0007
Created: 2026-11-28 12:25:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("sequence_warning", sa.String(40), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluation_cases", "sequence_warning")
