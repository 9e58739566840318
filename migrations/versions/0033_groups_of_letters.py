"""Find scans by a part of their name with an index, on PostgreSQL

Revision: 0033
Revises: 0032
Created: 2026-11-29 19:50:00
"""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# The groups of three letters of a text. No extension, which only a superuser may create.
GROUPS = """
CREATE FUNCTION glioscope_groups(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT substr($1, place, 3)), '{}') FROM generate_series(1, char_length($1) - 2) AS place
$$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(GROUPS)
    op.execute("ALTER TABLE scans ADD search_groups text[] GENERATED ALWAYS AS (glioscope_groups(search_name)) STORED")
    # Entries wait in no list that a search would have to read, too.
    op.execute("CREATE INDEX ix_scans_search_groups ON scans USING gin (search_groups) WITH (fastupdate = off)")
    op.execute("ANALYZE scans (search_groups)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE scans DROP COLUMN search_groups")  # and its index
    op.execute("DROP FUNCTION glioscope_groups(text)")
