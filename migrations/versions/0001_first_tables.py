"""Create scans, segmentations, workers, idempotency keys and tombstones

Revision: 0001
Revises: nothing
Created: 2026-11-21 02:15:11.687622
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)

    op.create_table(
        "scans",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("search_name", sa.Text(), nullable=False),
        sa.Column("sort_name", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("slice_count", sa.Integer(), nullable=False),
        sa.Column("spacing_mm", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("shown_id", sa.String(length=32), nullable=True),
        sa.CheckConstraint("slice_count >= 1 AND width >= 1 AND height >= 1", name=op.f("ck_scans_size")),
        sa.ForeignKeyConstraint(
            ["shown_id"],
            ["segmentations.id"],
            name=op.f("fk_scans_shown_id_segmentations"),
            ondelete="SET NULL",
            use_alter=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scans")),
        sa.UniqueConstraint("shown_id", name=op.f("uq_scans_shown_id")),
    )
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.create_index("ix_scans_created_at_id", ["created_at", "id"], unique=False)
        batch_op.create_index("ix_scans_sort_name_id", ["sort_name", "id"], unique=False)

    op.create_table(
        "tombstones",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "segmentations",
        sa.Column("scan_id", sa.String(length=32), nullable=False),
        sa.Column("scan_created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("model_version", sa.String(length=40), nullable=True),
        sa.Column("engine", sa.String(length=40), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("min_tumor_pixels", sa.Integer(), nullable=True),
        sa.Column("map_of_id", sa.String(length=32), nullable=True),
        sa.Column("map_key", sa.String(length=200), nullable=True),
        sa.Column(
            "verdict",
            sa.Enum("tumor_detected", "no_tumor", name="verdict", native_enum=False, create_constraint=True, length=20),
            nullable=True,
        ),
        sa.Column("tumor_pixels", sa.BigInteger(), nullable=True),
        sa.Column("total_pixels", sa.BigInteger(), nullable=True),
        sa.Column("coverage_percent", sa.Double(), nullable=True),
        sa.Column("max_probability", sa.Double(), nullable=True),
        sa.Column("area_mm2", sa.Double(), nullable=True),
        sa.Column("volume_mm3", sa.Double(), nullable=True),
        sa.Column("slices", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("timings_ms", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_before", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.String(length=64), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_segmentations_lease")),
        sa.CheckConstraint("threshold >= 0 AND threshold <= 1", name=op.f("ck_segmentations_threshold")),
        sa.ForeignKeyConstraint(
            ["map_of_id"],
            ["segmentations.id"],
            name=op.f("fk_segmentations_map_of_id_segmentations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["scan_id"], ["scans.id"], name=op.f("fk_segmentations_scan_id_scans"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segmentations")),
    )
    with op.batch_alter_table("segmentations", schema=None) as batch_op:
        batch_op.create_index("ix_segmentations_coverage_percent_id", ["coverage_percent", "id"], unique=False)
        batch_op.create_index("ix_segmentations_finished_at", ["finished_at"], unique=False)
        batch_op.create_index("ix_segmentations_model_scan", ["model", "scan_created_at", "scan_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_segmentations_scan_id"), ["scan_id"], unique=False)
        batch_op.create_index("ix_segmentations_status_created_at", ["status", "created_at"], unique=False)
        batch_op.create_index("ix_segmentations_status_scan", ["status", "scan_created_at", "scan_id"], unique=False)
        batch_op.create_index(
            "ix_segmentations_verdict_coverage_percent_id", ["verdict", "coverage_percent", "id"], unique=False
        )
        batch_op.create_index("ix_segmentations_verdict_scan", ["verdict", "scan_created_at", "scan_id"], unique=False)
    if op.get_bind().dialect.supports_alter:
        # The two tables name each other; SQLite takes the constraint in CREATE TABLE, before its target is there.
        op.create_foreign_key(
            "fk_scans_shown_id_segmentations", "scans", "segmentations", ["shown_id"], ["id"], ondelete="SET NULL"
        )


def downgrade() -> None:
    if op.get_bind().dialect.supports_alter:
        op.drop_constraint("fk_scans_shown_id_segmentations", "scans", type_="foreignkey")
    with op.batch_alter_table("segmentations", schema=None) as batch_op:
        batch_op.drop_index("ix_segmentations_verdict_scan")
        batch_op.drop_index("ix_segmentations_verdict_coverage_percent_id")
        batch_op.drop_index("ix_segmentations_status_scan")
        batch_op.drop_index("ix_segmentations_status_created_at")
        batch_op.drop_index(batch_op.f("ix_segmentations_scan_id"))
        batch_op.drop_index("ix_segmentations_model_scan")
        batch_op.drop_index("ix_segmentations_finished_at")
        batch_op.drop_index("ix_segmentations_coverage_percent_id")

    op.drop_table("segmentations")
    op.drop_table("workers")
    op.drop_table("tombstones")
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.drop_index("ix_scans_sort_name_id")
        batch_op.drop_index("ix_scans_created_at_id")

    op.drop_table("scans")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))

    op.drop_table("idempotency_keys")
