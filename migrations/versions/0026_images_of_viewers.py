"""Keep by which name a viewer knows a scan

Revision: 0026
Revises: 0025
Created: 2026-11-29 12:15:00
"""

import sqlalchemy as sa
from alembic import op

from webapp.domain.database.clock import UtcDateTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "viewer_images",
        sa.Column("scan_id", sa.String(32), nullable=False),
        sa.Column("name_digest", sa.String(64), nullable=False),
        sa.Column("named_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], name="fk_viewer_images_scan_id_scans", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_id", "name_digest", name="pk_viewer_images"),
    )
    op.create_index("ix_viewer_images_name_digest", "viewer_images", ["name_digest"])


def downgrade() -> None:
    op.drop_index("ix_viewer_images_name_digest", "viewer_images")
    op.drop_table("viewer_images")
