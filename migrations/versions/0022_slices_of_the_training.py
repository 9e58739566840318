"""Keep which cases are slices that the model was trained on

Revision: 0022
Revises: 0021
Created: 2026-11-29 05:45:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("is_of_training", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluation_cases", "is_of_training")
