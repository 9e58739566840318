"""Keep which scans a joined scan was made of

Revision: 0018
Revises: 0017
Created: 2026-11-29 02:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("parts", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "parts")
