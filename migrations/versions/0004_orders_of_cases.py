"""Index the orders of cases within an outcome and within a patient, and the names of cases and scans

Revision: 0004
Revises: 0003
Created: 2026-11-25 23:25:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_evaluation_cases_outcome_dice": ["evaluation_id", "outcome", "dice", "position"],
    "ix_evaluation_cases_outcome_position": ["evaluation_id", "outcome", "position"],
    "ix_evaluation_cases_patient_dice": ["evaluation_id", "patient", "dice", "position"],
    "ix_evaluation_cases_search_name": ["evaluation_id", "position", "search_name"],
}


def upgrade() -> None:
    op.add_column("evaluation_cases", sa.Column("search_name", sa.Text(), nullable=False, server_default=""))
    # Of the cases that are there: lower case instead of case folding, which no database knows.
    end = {"sqlite": "substr(image, -400)", "postgresql": "right(image, 400)"}[op.get_bind().dialect.name]
    op.execute(f"UPDATE evaluation_cases SET search_name = lower({end})")  # noqa: S608 - one of the two above
    for name, columns in _INDEXES.items():
        op.create_index(name, "evaluation_cases", columns)
    op.create_index("ix_scans_search_name_id", "scans", ["search_name", "id"])


def downgrade() -> None:
    op.drop_index("ix_scans_search_name_id", table_name="scans")
    for name in _INDEXES:
        op.drop_index(name, table_name="evaluation_cases")
    op.drop_column("evaluation_cases", "search_name")
