"""The database's clock in statements."""

from sqlalchemy import select

from webapp.domain.database.clock import database_now


def test_a_statement_with_the_clock_is_compiled_once_for_each_offset() -> None:
    keys = [select(database_now(seconds))._generate_cache_key() for seconds in (15.0, 15.0, -60.0)]
    assert None not in keys
    assert keys[0] == keys[1] != keys[2]
