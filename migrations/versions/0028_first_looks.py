"""Keep which cases the first member of a cascade answered alone

Revision: 0028
Revises: 0027
Created: 2026-11-29 12:25:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("is_first_look", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluation_cases", "is_first_look")
