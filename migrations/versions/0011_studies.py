"""Studies, which group scans; which earlier scan was the same file

Revision: 0011
Revises: 0010
Created: 2026-11-28 21:20:00
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The new columns, and the tables that they refer to.
KEYS = {"study_id": "studies", "same_as_id": "scans"}
INDEXES = {
    "ix_scans_study_id_created_at": ["study_id", "created_at", "id"],
    "ix_scans_same_as_id": ["same_as_id"],
    "ix_scans_sha256": ["sha256"],
}


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("search_name", sa.Text(), nullable=False),
        sa.Column("sort_name", sa.Text(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("search_name", name="uq_studies_search_name"),
    )
    op.create_index("ix_studies_created_at_id", "studies", ["created_at", "id"])
    op.create_index("ix_studies_sort_name_id", "studies", ["sort_name", "id"])
    for column in KEYS:
        op.add_column("scans", sa.Column(column, sa.String(32), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _copy_scans(lambda text: f"{text.rstrip()[:-1]}{_constraints()})")
    else:
        for column, table in KEYS.items():
            name = f"fk_scans_{column}_{table}"
            op.create_foreign_key(name, "scans", table, [column], ["id"], ondelete="SET NULL")
    for name, columns in INDEXES.items():
        op.create_index(name, "scans", columns)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "scans")
    if op.get_bind().dialect.name == "sqlite":
        _copy_scans(lambda text: text.replace(_constraints(), ""))
    else:
        for column, table in KEYS.items():
            op.drop_constraint(f"fk_scans_{column}_{table}", "scans", type_="foreignkey")
    for column in KEYS:
        op.drop_column("scans", column)
    op.drop_table("studies")


def _constraints() -> str:
    """The keys as they stand at the end of the table's text in SQLite."""
    return "".join(
        f", CONSTRAINT fk_scans_{column}_{table} FOREIGN KEY({column}) REFERENCES {table} (id) ON DELETE SET NULL"
        for column, table in KEYS.items()
    )


def _copy_scans(changed: Callable[[str], str]) -> None:
    """A new table by the changed text of the old one, its rows, its indexes: as 0007 does it, which says why."""
    bind = op.get_bind()
    found = bind.execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'scans' AND sql IS NOT NULL")
    ).all()
    (definition,) = (row.sql for row in found if row.type == "table")
    wanted = changed(definition)
    head, _, body = wanted.partition("(")
    if wanted == definition or "scans" not in head:
        raise RuntimeError("The table scans has not the form that it was given; this database was changed by hand.")
    bind.exec_driver_sql(f"CREATE TABLE new_scans ({body}")
    bind.exec_driver_sql("INSERT INTO new_scans SELECT * FROM scans")
    bind.exec_driver_sql("DROP TABLE scans")
    bind.exec_driver_sql("ALTER TABLE new_scans RENAME TO scans")
    for row in found:
        if row.type != "table":
            bind.exec_driver_sql(row.sql)
