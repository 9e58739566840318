"""Digests of what was read of a case

Revision: 0012
Revises: 0011
Created: 2026-11-28 21:15:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = ("pixels_sha256", "truth_sha256")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("evaluation_cases", sa.Column(name, sa.String(64), nullable=True))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("evaluation_cases", name)
