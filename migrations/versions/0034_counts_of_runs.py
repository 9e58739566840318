"""Count the history by its runs from two indexes alone, on PostgreSQL

Revision: 0034
Revises: 0033
Created: 2026-11-30 08:30:00
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    # Both in the order of the run's id: they are read beside each other, and no table for it.
    op.execute(
        "CREATE INDEX ix_segmentations_id_filters ON segmentations (id)"
        " INCLUDE (verdict, status, model, coverage_percent, scan_created_at)"
    )
    op.execute("CREATE INDEX ix_scans_owner_id_displayed_id ON scans (owner_id, displayed_id)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP INDEX ix_scans_owner_id_displayed_id")
    op.execute("DROP INDEX ix_segmentations_id_filters")
