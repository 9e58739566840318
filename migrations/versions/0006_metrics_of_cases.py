"""Keep the metrics that nothing is sorted or filtered by in one JSON column; probability histograms and counts by name

Revision: 0006
Revises: 0005
Created: 2026-11-28 07:00:00
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1000
_JSON = sa.JSON(none_as_null=True)
_COUNTS = ("true_positive", "false_positive", "false_negative", "true_negative")
_CASE_COLUMNS = {
    **dict.fromkeys((*_COUNTS, "truth_pixels"), sa.Integer()),
    **dict.fromkeys(("hd95", "surface_dice", "max_probability", "seconds"), sa.Double()),
}
_PATIENT_COLUMNS = {
    **dict.fromkeys(("slices", "failed_slices", "tumor_slices", "detected_slices"), sa.Integer()),
    **dict.fromkeys(("truth_pixels", "predicted_pixels"), sa.BigInteger()),
    **dict.fromkeys(("iou", "precision", "recall", "hd95_median"), sa.Double()),
}
_TABLES = {"evaluation_cases": _CASE_COLUMNS, "evaluation_patients": _PATIENT_COLUMNS}
_RENAMED = (("evaluations", "tally", "counts"), ("evaluation_cases", "levels", "probability_histogram"))

Row = dict[str, Any]


def upgrade() -> None:
    for table, old, new in _RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for table in _TABLES:
        op.add_column(table, sa.Column("metrics", _JSON, nullable=True))
    _rewrite("evaluation_cases", (*_CASE_COLUMNS, "predicted_pixels"), ("metrics",), _case_metrics)
    _rewrite("evaluation_patients", (*_PATIENT_COLUMNS, "dice"), ("metrics",), _patient_metrics)
    with op.batch_alter_table("evaluation_patients") as batch:
        batch.alter_column("metrics", existing_type=_JSON, nullable=False)
    for table, columns in _TABLES.items():
        for name in columns:
            op.drop_column(table, name)
    _rename_summary("ece_in_doubt", "ece_foreground")


def downgrade() -> None:
    _rename_summary("ece_foreground", "ece_in_doubt")
    for table, columns in _TABLES.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
        _rewrite(table, ("metrics",), tuple(columns), _columns_of(columns))
    with op.batch_alter_table("evaluation_patients") as batch:
        for name in ("slices", "failed_slices", "predicted_pixels"):
            batch.alter_column(name, existing_type=_PATIENT_COLUMNS[name], nullable=False)
    for table in _TABLES:
        op.drop_column(table, "metrics")
    for table, old, new in _RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")


def _case_metrics(row: Row) -> Row:
    """Of a failed case none; of a case without an expert mask what the model alone says."""
    if row["max_probability"] is None:
        return {"metrics": None}
    own = {"max_probability": row["max_probability"], "seconds": row["seconds"]}
    if row["truth_pixels"] is None:
        return {"metrics": own}
    true_positive, false_positive = row["true_positive"], row["false_positive"]
    truth, predicted = row["truth_pixels"], row["predicted_pixels"]
    # The formulas and the rules for empty masks of ml.metrics.overlap at the time of this migration.
    overlap = {
        "iou": true_positive / (truth + false_positive) if truth else None,
        "precision": true_positive / predicted if predicted else (0.0 if truth else None),
        "recall": true_positive / truth if truth else None,
    }
    return {"metrics": {**{name: row[name] for name in _CASE_COLUMNS}, **overlap}}


def _patient_metrics(row: Row) -> Row:
    """What the other kind of evaluation has alone is left out."""
    others = ("detected_slices",) if row["tumor_slices"] is not None else (
        "tumor_slices", "truth_pixels", "iou", "precision", "recall", "hd95_median",
    )  # fmt: skip
    return {"metrics": {name: row[name] for name in _PATIENT_COLUMNS if name not in others}}


def _columns_of(columns: dict[str, Any]) -> Callable[[Row], Row]:
    return lambda row: {name: (row["metrics"] or {}).get(name) for name in columns}


def _rewrite(table: str, read: tuple[str, ...], written: tuple[str, ...], change: Callable[[Row], Row]) -> None:
    """Compute columns from others, row by row in Python: a database would round the numbers that it writes as JSON."""
    names = ("evaluation_id", "position")
    types = {"metrics": _JSON}
    source = sa.table(table, *(sa.column(name, types.get(name)) for name in {*names, *read, *written}))
    keys = [source.c[name] for name in names]
    update = (
        sa.update(source)
        .where(*(key == sa.bindparam(f"key_{key.name}") for key in keys))
        .values({name: sa.bindparam(f"new_{name}", type_=types.get(name)) for name in written})
    )
    for rows in _batches(sa.select(*keys, *(source.c[name] for name in read)), keys):
        values = [
            {
                **{f"key_{name}": row[name] for name in names},
                **{f"new_{name}": value for name, value in change(row).items()},
            }
            for row in rows
        ]
        op.get_bind().execute(update, values)


def _batches(statement: Any, keys: list[Any]) -> Iterator[list[Row]]:
    """Rows by their keys, some at a time: an evaluation may have a hundred thousand."""
    ordered = statement.order_by(*keys).limit(_ROWS_AT_ONCE)
    rows = [dict(row) for row in op.get_bind().execute(ordered).mappings()]
    while rows:
        yield rows
        last = sa.tuple_(*(sa.literal(rows[-1][key.name]) for key in keys))
        rows = [dict(row) for row in op.get_bind().execute(ordered.where(sa.tuple_(*keys) > last)).mappings()]


def _rename_summary(old: str, new: str) -> None:
    """Of the reports' summaries one key."""
    evaluations = sa.table("evaluations", sa.column("id"), sa.column("summary", _JSON))
    found = op.get_bind().execute(sa.select(evaluations).where(evaluations.c.summary.is_not(None))).all()
    for evaluation_id, summary in found:
        if old in summary:
            renamed = {new if name == old else name: value for name, value in summary.items()}
            changed = sa.update(evaluations).where(evaluations.c.id == evaluation_id).values(summary=renamed)
            op.get_bind().execute(changed)
