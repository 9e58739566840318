"""The figures' arithmetic, and their place in a document."""

import pytest

from bench.__main__ import END, START, write
from bench.figures import Table, median, p95, quantile
from bench.history import FAILED, add_scans
from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.jobs.models import Status
from webapp.domain.scans import history
from webapp.domain.scans.history import HistoryFilter


def test_quantiles_are_linear_between_two_values() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert p95([float(value) for value in range(101)]) == 95
    assert quantile([7.0], 0.95) == 7
    with pytest.raises(ValueError, match="no value"):
        quantile([], 0.5)


def test_figures_replace_older_ones_and_leave_the_words_around(tmp_path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"# Words\n\n{START}\nold\n{END}\nMore words.\n")
    table = Table("One", ("what", "ms"), (("first", "1.5"),))
    write(path, table.to_markdown())
    text = path.read_text()
    assert text.startswith("# Words") and text.endswith("More words.\n") and "old" not in text
    assert "| first | 1.5 |" in text


def test_a_document_without_a_place_is_left_alone(tmp_path) -> None:
    path = tmp_path / "other.md"
    path.write_text("words")
    with pytest.raises(SystemExit, match="no place"):
        write(path, "figures")
    assert path.read_text() == "words"


def test_the_filled_history_is_what_it_says(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'rows.sqlite3'}"
    migration.upgrade(url)
    database = Database(url)
    add_scans(database, 120)
    with database.read() as session:
        assert len(history.page(session, HistoryFilter(limit=200)).scans) == 120
        assert len(history.page(session, HistoryFilter(limit=200, status=Status.FAILED)).scans) == FAILED
    database.dispose()
