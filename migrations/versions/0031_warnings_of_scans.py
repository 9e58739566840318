"""Keep the warnings that a scan is listed under as rows, so that the history finds them by an index

The database keeps them itself, by triggers: whatever writes a scan's or a run's warnings, or which run is displayed,
changes them in the same transaction, also code of the version before.

Revision: 0031
Revises: 0030
Created: 2026-11-29 16:00:00
"""

import sqlalchemy as sa
from alembic import op

from webapp.domain.database.clock import UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Scans of one INSERT, by their ids.
ROWS_AT_ONCE = 5000

INTO = "INSERT INTO scan_warnings (scan_id, code, scan_created_at) "
# Codes of scans and of the runs that they display; {scans}: which ones.
SQLITE_CODES = """
SELECT scans.id, code.value, scans.created_at FROM scans, json_each(scans.warnings) AS code WHERE {scans}
UNION SELECT scans.id, code.value, scans.created_at
  FROM scans JOIN segmentations ON segmentations.id = scans.displayed_id, json_each(segmentations.warnings) AS code
  WHERE {scans}
"""
POSTGRES_CODES = """
SELECT scans.id, code, scans.created_at FROM scans, json_array_elements_text(scans.warnings) AS code WHERE {scans}
UNION SELECT scans.id, code, scans.created_at
  FROM scans JOIN segmentations ON segmentations.id = scans.displayed_id,
    json_array_elements_text(segmentations.warnings) AS code
  WHERE {scans}
"""
# Name of the trigger, when it fires, the scan it is about.
TRIGGERS = (
    ("scan_warnings_of_new", "INSERT ON scans", "id"),
    ("scan_warnings_of_changed", "UPDATE OF warnings, displayed_id ON scans", "id"),
    ("scan_warnings_of_run", "UPDATE OF warnings ON segmentations", "scan_id"),
)


def upgrade() -> None:
    op.create_table(
        "scan_warnings",
        sa.Column("scan_id", sa.String(32), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("scan_created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], name="fk_scan_warnings_scan_id_scans", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_id", "code", name="pk_scan_warnings"),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    codes = SQLITE_CODES if is_sqlite else POSTGRES_CODES
    if is_sqlite:
        _add_sqlite_triggers()
    else:
        _add_postgres_triggers()
    _fill(codes)
    # After the rows: it is built faster so.
    op.create_index("ix_scan_warnings_code_scan", "scan_warnings", ["code", "scan_created_at", "scan_id"])


def downgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name, event, _ in TRIGGERS:
        op.execute(f"DROP TRIGGER {name}" + ("" if is_sqlite else f" ON {event.split()[-1]}"))
        if not is_sqlite:
            op.execute(f"DROP FUNCTION {name}()")
    op.drop_index("ix_scan_warnings_code_scan", "scan_warnings")
    op.drop_table("scan_warnings")


def _fill(codes: str) -> None:
    """List the scans of before."""
    last, ids = "", sa.text("SELECT id FROM scans WHERE id > :last ORDER BY id LIMIT :most")
    insert = sa.text(INTO + codes.format(scans="scans.id > :last AND scans.id <= :next"))
    while found := op.get_bind().scalars(ids, {"last": last, "most": ROWS_AT_ONCE}).all():
        op.get_bind().execute(insert, {"last": last, "next": found[-1]})
        last = found[-1]


def _add_sqlite_triggers() -> None:
    for name, event, key in TRIGGERS:
        steps = _steps(SQLITE_CODES, key)
        op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {steps}; END")


def _add_postgres_triggers() -> None:
    for name, event, key in TRIGGERS:
        # Another transaction may be listing the same scan's own codes, or its run's.
        steps = f"{_steps(POSTGRES_CODES, key)} ON CONFLICT DO NOTHING; RETURN NULL;"
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {steps} END $$")
        op.execute(f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW EXECUTE FUNCTION {name}()")


def _steps(codes: str, key: str) -> str:
    """List one scan anew. key: of the row that was written, the column with the scan's id."""
    old = f"DELETE FROM scan_warnings WHERE scan_id = NEW.{key}"  # noqa: S608 - names of this module
    return f"{old}; {INTO}{codes.format(scans=f'scans.id = NEW.{key}')}"
