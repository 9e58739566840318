"""Keep the date and the patient of a study, as a person has entered them

Revision: 0025
Revises: 0024
Created: 2026-11-29 09:35:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("date", sa.Date(), nullable=True))
    op.add_column("studies", sa.Column("patient", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("studies", "patient")
    op.drop_column("studies", "date")
