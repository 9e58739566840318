"""Bind users to the people of an OpenID Connect provider, and keep logins that were begun

Revision: 0023
Revises: 0022
Created: 2026-11-29 09:20:00
"""

import sqlalchemy as sa
from alembic import op

from webapp.domain.database.clock import UtcDateTime

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("subject", sa.String(64), nullable=True))
    op.create_index("ix_users_subject", "users", ["subject"], unique=True)
    op.create_table(
        "oidc_logins",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oidc_logins"),
    )
    op.create_index("ix_oidc_logins_created_at", "oidc_logins", ["created_at"])


def downgrade() -> None:
    op.drop_table("oidc_logins")
    op.drop_index("ix_users_subject", "users")
    op.drop_column("users", "subject")
