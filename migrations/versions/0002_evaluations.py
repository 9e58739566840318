"""Create evaluations, their chunks, cases and patients

Revision: 0002
Revises: 0001
Created: 2026-11-25 04:53:33.199364
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "source",
            sa.Enum("folder", "archive", name="source", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("model_version", sa.String(length=40), nullable=True),
        sa.Column("engine", sa.String(length=200), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("min_tumor_pixels", sa.Integer(), nullable=False),
        sa.Column("data_folder", sa.Text(), nullable=True),
        sa.Column("has_truth", sa.Boolean(), nullable=True),
        sa.Column("case_count", sa.Integer(), nullable=True),
        sa.Column("checked_count", sa.Integer(), nullable=False),
        sa.Column("findings", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tally", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("headline", sa.Text(), nullable=True),
        sa.Column("summary", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("report_attempt", sa.Integer(), nullable=True),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.CheckConstraint("threshold >= 0 AND threshold <= 1", name=op.f("ck_evaluations_threshold")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    with op.batch_alter_table("evaluations", schema=None) as batch_op:
        batch_op.create_index("ix_evaluations_created_at_id", ["created_at", "id"], unique=False)
        batch_op.create_index("ix_evaluations_status", ["status"], unique=False)

    op.create_table(
        "evaluation_cases",
        sa.Column("evaluation_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "found",
                "missed",
                "false_alarm",
                "clear",
                "tumor_detected",
                "no_tumor",
                "failed",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("min_tumor_pixels", sa.Integer(), nullable=True),
        sa.Column("true_positive", sa.Integer(), nullable=True),
        sa.Column("false_positive", sa.Integer(), nullable=True),
        sa.Column("false_negative", sa.Integer(), nullable=True),
        sa.Column("true_negative", sa.Integer(), nullable=True),
        sa.Column("truth_pixels", sa.Integer(), nullable=True),
        sa.Column("predicted_pixels", sa.Integer(), nullable=True),
        sa.Column("dice", sa.Double(), nullable=True),
        sa.Column("hd95", sa.Double(), nullable=True),
        sa.Column("surface_dice", sa.Double(), nullable=True),
        sa.Column("max_probability", sa.Double(), nullable=True),
        sa.Column("levels", sa.LargeBinary(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("map_key", sa.String(length=200), nullable=True),
        sa.Column("error_code", sa.String(length=40), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_cases_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "position", name=op.f("pk_evaluation_cases")),
    )
    with op.batch_alter_table("evaluation_cases", schema=None) as batch_op:
        batch_op.create_index("ix_evaluation_cases_dice", ["evaluation_id", "dice", "position"], unique=False)
        batch_op.create_index("ix_evaluation_cases_finished_at", ["evaluation_id", "finished_at"], unique=False)
        batch_op.create_index(
            "ix_evaluation_cases_outcome", ["evaluation_id", "outcome", "predicted_pixels", "position"], unique=False
        )
        batch_op.create_index("ix_evaluation_cases_patient", ["evaluation_id", "patient", "position"], unique=False)
        batch_op.create_index(
            "ix_evaluation_cases_predicted", ["evaluation_id", "predicted_pixels", "position"], unique=False
        )

    op.create_table(
        "evaluation_chunks",
        sa.Column("evaluation_id", sa.String(length=32), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("check", "cases", "report", name="kind", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("cases", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("engine", sa.String(length=40), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_before", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker_id", sa.String(length=64), nullable=True),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_evaluation_chunks_lease")),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_chunks_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_chunks")),
        sa.UniqueConstraint(
            "evaluation_id", "kind", "position", name=op.f("uq_evaluation_chunks_evaluation_id_kind_position")
        ),
    )
    with op.batch_alter_table("evaluation_chunks", schema=None) as batch_op:
        batch_op.create_index("ix_evaluation_chunks_status_created_at", ["status", "created_at"], unique=False)

    op.create_table(
        "evaluation_patients",
        sa.Column("evaluation_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("failed_slices", sa.Integer(), nullable=False),
        sa.Column("tumor_slices", sa.Integer(), nullable=True),
        sa.Column("detected_slices", sa.Integer(), nullable=True),
        sa.Column("truth_pixels", sa.BigInteger(), nullable=True),
        sa.Column("predicted_pixels", sa.BigInteger(), nullable=False),
        sa.Column("dice", sa.Double(), nullable=True),
        sa.Column("iou", sa.Double(), nullable=True),
        sa.Column("precision", sa.Double(), nullable=True),
        sa.Column("recall", sa.Double(), nullable=True),
        sa.Column("hd95_median", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_evaluation_patients_evaluation_id_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "position", name=op.f("pk_evaluation_patients")),
    )
    with op.batch_alter_table("evaluation_patients", schema=None) as batch_op:
        batch_op.create_index("ix_evaluation_patients_dice", ["evaluation_id", "dice", "position"], unique=False)
        batch_op.create_index("ix_evaluation_patients_patient", ["evaluation_id", "patient"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("evaluation_patients", schema=None) as batch_op:
        batch_op.drop_index("ix_evaluation_patients_patient")
        batch_op.drop_index("ix_evaluation_patients_dice")

    op.drop_table("evaluation_patients")
    with op.batch_alter_table("evaluation_chunks", schema=None) as batch_op:
        batch_op.drop_index("ix_evaluation_chunks_status_created_at")

    op.drop_table("evaluation_chunks")
    with op.batch_alter_table("evaluation_cases", schema=None) as batch_op:
        batch_op.drop_index("ix_evaluation_cases_predicted")
        batch_op.drop_index("ix_evaluation_cases_patient")
        batch_op.drop_index("ix_evaluation_cases_outcome")
        batch_op.drop_index("ix_evaluation_cases_finished_at")
        batch_op.drop_index("ix_evaluation_cases_dice")

    op.drop_table("evaluation_cases")
    with op.batch_alter_table("evaluations", schema=None) as batch_op:
        batch_op.drop_index("ix_evaluations_status")
        batch_op.drop_index("ix_evaluations_created_at_id")

    op.drop_table("evaluations")
