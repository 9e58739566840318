"""Let a verdict be uncertain or not assessed, and keep the doubt rule of a run with what it found

Revision: 0007
Revises: 0006
Created: 2026-11-28 12:00:00
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)
_COLUMNS = {"segmentations": ("doubt_rule", "doubt"), "evaluation_cases": ("doubt_rule", "dropped")}
# Table and column of a check: its values before and after.
_CHECKS = {
    ("segmentations", "verdict"): (
        ("tumor_detected", "no_tumor"),
        ("tumor_detected", "uncertain", "no_tumor", "not_assessed"),
    ),
    ("evaluation_cases", "outcome"): (
        ("found", "missed", "false_alarm", "clear", "tumor_detected", "no_tumor", "failed"),
        (
            "found", "uncertain_tumor", "missed", "false_alarm", "uncertain_clear", "clear",
            "tumor_detected", "uncertain", "no_tumor", "not_assessed", "failed",
        ),
    ),
}  # fmt: skip
# What a verdict or an outcome becomes where nobody knows of doubt.
_WITHOUT_DOUBT = {
    "uncertain": "no_tumor",
    "not_assessed": "no_tumor",
    "uncertain_tumor": "missed",
    "uncertain_clear": "clear",
}


def upgrade() -> None:
    for (table, column), (old, new) in _CHECKS.items():
        _replace_check(table, column, old, new)
    for table, names in _COLUMNS.items():
        for name in names:
            op.add_column(table, sa.Column(name, _JSON, nullable=True))


def downgrade() -> None:
    for table, names in _COLUMNS.items():
        for name in names:
            op.drop_column(table, name)
    for (table, column), (old, new) in _CHECKS.items():
        rows = sa.table(table, sa.column(column))
        for value, plain in _WITHOUT_DOUBT.items():
            op.execute(sa.update(rows).where(rows.c[column] == value).values({column: plain}))
        _replace_check(table, column, new, old)


def _replace_check(table: str, column: str, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Let the column have other values."""
    name = f"ck_{table}_{column}"
    if op.get_bind().dialect.name == "sqlite":
        _copy_table(table, _check(column, old), _check(column, new))
        return
    op.drop_constraint(op.f(name), table, type_="check")
    op.create_check_constraint(op.f(name), table, _check(column, new))


def _copy_table(table: str, old: str, new: str) -> None:
    """SQLite changes no constraint in place: a new table by the old one's own text, its rows, its indexes.

    The way that SQLite's documentation gives (lang_altertable, "Making Other Kinds Of Table Schema Changes");
    migrations run with foreign keys off, or the old table's end would delete what refers to it.
    """
    bind = op.get_bind()
    found: list[tuple[Any, Any]] = [
        (row.type, row.sql)
        for row in bind.execute(
            sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL"), {"table": table}
        )
    ]
    (definition,) = (sql for kind, sql in found if kind == "table")
    changed = definition.replace(old, new)
    if changed == definition:
        raise RuntimeError(f"The table {table} has no check {old!r}; this database was changed by hand.")
    head, _, body = changed.partition("(")
    if table not in head:
        raise RuntimeError(f"The definition of {table} begins with {head!r}.")
    bind.exec_driver_sql(f'CREATE TABLE "new_{table}" ({body}')
    bind.exec_driver_sql(f'INSERT INTO "new_{table}" SELECT * FROM "{table}"')  # noqa: S608 - a table of _CHECKS
    bind.exec_driver_sql(f'DROP TABLE "{table}"')
    bind.exec_driver_sql(f'ALTER TABLE "new_{table}" RENAME TO "{table}"')
    for kind, sql in found:
        if kind != "table":
            bind.exec_driver_sql(sql)


def _check(column: str, values: tuple[str, ...]) -> str:
    """The condition as both databases were given it."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"
