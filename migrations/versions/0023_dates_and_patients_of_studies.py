"""Keep the date and the patient of a study, as a person has entered them

Revision: 0023
Revises: 0022
Created: 2026-11-29 09:35:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("date", sa.Date(), nullable=True))
    op.add_column("studies", sa.Column("patient", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("studies", "patient")
    op.drop_column("studies", "date")
