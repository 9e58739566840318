"""Keep the patients of scans and studies as they are compared, so that a follow-up finds them by an index

Revision: 0029
Revises: 0028
Created: 2026-11-29 16:10:00
"""

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("scans", "studies"):
        op.add_column(table, sa.Column("patient_key", sa.Text(), nullable=True))
    connection = op.get_bind()
    scans = sa.table("scans", sa.column("id"), sa.column("series", sa.JSON()), sa.column("patient_key"))
    studies = sa.table("studies", sa.column("id"), sa.column("patient"), sa.column("patient_key"))
    of_series = connection.execute(sa.select(scans.c.id, scans.c.series).where(scans.c.series.is_not(sa.null())))
    _fill(scans, [(row.id, _patient(row.series)) for row in of_series])
    entered = connection.execute(sa.select(studies.c.id, studies.c.patient).where(studies.c.patient.is_not(None)))
    _fill(studies, [(row.id, row.patient) for row in entered])
    for table in ("scans", "studies"):
        op.create_index(f"ix_{table}_patient_key_owner_id", table, ["patient_key", "owner_id"])


def downgrade() -> None:
    for table in ("scans", "studies"):
        op.drop_index(f"ix_{table}_patient_key_owner_id", table)
        op.drop_column(table, "patient_key")


def _patient(series: object) -> str | None:
    found = json.loads(series) if isinstance(series, str) else series
    return found.get("patient") if isinstance(found, dict) else None


def _fill(table: sa.TableClause, patients: list[tuple[str, str | None]]) -> None:
    keys = [{"row": row, "patient_key": _search_key(patient)} for row, patient in patients if patient]
    if keys:
        op.get_bind().execute(table.update().where(table.c.id == sa.bindparam("row")), keys)


def _search_key(name: str) -> str:
    """As of this revision: composed and case-folded, which no database does."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
