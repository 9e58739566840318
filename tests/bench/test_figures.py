"""The figures' arithmetic, and their place in a document."""

import pytest

from bench.aims import (
    ROWS_P95,
    SLICES_A_SECOND,
    TIMES_PLAIN,
    TIMES_SCRIPT,
    aims_table,
    facts_of,
    verdict,
)
from bench.figures import Table, median, p95, quantile
from bench.history import FAILED, add_scans
from bench.machine import Machine, instructions_of
from bench.pages import END, HEAD, START, write
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


EPYC = Machine("AMD EPYC 9B14", 2, "AVX-512 VNNI")
FACTS = {SLICES_A_SECOND: 24.31, TIMES_PLAIN: 15.02, TIMES_SCRIPT: 4.5, ROWS_P95: 49.0}


def test_a_machine_has_a_page_of_tables_and_a_row_that_takes_the_older_ones_place(tmp_path) -> None:
    document = tmp_path / "performance.md"
    old = "| [AMD EPYC 9B14, 2 cores](performance/amd-epyc-avx-512-vnni-2-cores.md) | AVX-512 VNNI | 2025 | 1 | | | |"
    document.write_text(f"# Words\n\n{START}\n\n{HEAD[0]}\n{HEAD[1]}\n{old}\n| other | | | | | | |\n\n{END}\nMore.\n")
    table = Table("One", ("what", "ms"), (("first", "1.5"),))
    page = write(document, EPYC, "2026-11-29", FACTS, table.to_markdown())
    assert page == tmp_path / "performance" / "amd-epyc-avx-512-vnni-2-cores.md"
    assert "| first | 1.5 |" in page.read_text()
    text = document.read_text()
    assert text.startswith("# Words") and text.endswith("More.\n") and old not in text
    row, other = text.split(HEAD[1])[1].split(END)[0].strip().splitlines()
    assert row.endswith("| AVX-512 VNNI | 2026-11-29 | 24.3 | 15.0 | 4.5 |  |") and other.startswith("| other")
    write(document, EPYC, "2026-11-30", {}, "pages alone")  # no folder was evaluated: the row stays
    assert document.read_text() == text and "pages alone" in page.read_text()


def test_a_document_without_a_place_is_left_alone(tmp_path) -> None:
    path = tmp_path / "other.md"
    path.write_text("words")
    with pytest.raises(SystemExit, match="no place"):
        write(path, EPYC, "2026-11-29", FACTS, "figures")
    assert path.read_text() == "words" and list(tmp_path.iterdir()) == [path]


def test_the_last_line_says_which_aims_fall_short() -> None:
    assert verdict(FACTS, multiplies_8_bit=True) == (
        "Falls short of 1 of 3 aims: a folder, times the plain pipeline (15.0, wanted 25)."
    )
    assert verdict(FACTS, multiplies_8_bit=False) == "All 2 aims that were measured are met."
    assert verdict({}, multiplies_8_bit=True) == "No aim was measured."
    rows = aims_table({**FACTS, ROWS_P95: 50.1}, multiplies_8_bit=True).rows
    assert [row[3] for row in rows] == ["falls short", "met", "falls short"]
    tables = [Table("a", (), (), facts={ROWS_P95: 3.0}), Table("b", (), (), facts={ROWS_P95: 7.0})]
    assert facts_of(tables) == {ROWS_P95: 7.0}


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (("avx2", "avx512_vnni", "amx_int8"), "AMX"),
        (("avx2", "avx512_vnni", "avx_vnni"), "AVX-512 VNNI"),
        (("avx2",), "AVX2"),
        ((), "no vector products of 8 bits"),
    ],
)
def test_the_instruction_set_is_the_fastest_that_the_processor_has(flags, name) -> None:
    assert instructions_of(flags) == name


def test_the_filled_history_is_what_it_says(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'rows.sqlite3'}"
    migration.upgrade(url)
    database = Database(url)
    add_scans(database, 120)
    with database.read() as session:
        assert len(history.page(session, HistoryFilter(limit=200)).rows) == 120
        assert len(history.page(session, HistoryFilter(limit=200, status=Status.FAILED)).rows) == FAILED
    database.dispose()
