"""Keep when a user logged in last, and names as long as an e-mail address

Revision: 0027
Revises: 0026
Created: 2026-11-29 12:45:00
"""

import sqlalchemy as sa
from alembic import op

from webapp.domain.database.clock import UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("logged_in_at", UtcDateTime(), nullable=True))
        users.alter_column("name", existing_type=sa.String(64), type_=sa.String(254), existing_nullable=False)
    # Who has a session has logged in; of others nobody knows.
    op.execute(
        "UPDATE users SET logged_in_at = (SELECT max(created_at) FROM sessions WHERE sessions.user_id = users.id)"
    )


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.alter_column("name", existing_type=sa.String(254), type_=sa.String(64), existing_nullable=False)
        users.drop_column("logged_in_at")
