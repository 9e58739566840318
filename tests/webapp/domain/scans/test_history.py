"""The history: filters, orders, and pages that neither lose nor repeat a scan."""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event, text, update

from bench.history import FIRST_DAY, MODELS, add_scans
from ml.measurements import Verdict
from tests.support.resources import add_rows, make_settings
from webapp.domain.database import ownership, text_search
from webapp.domain.database.engine import Database
from webapp.domain.errors import InvalidInput
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import history, segmentations, studies
from webapp.domain.scans.history import SORTS, HistoryFilter
from webapp.domain.scans.models import Scan, Segmentation

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def scans(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    """23 scans over some days, in pairs of one instant; every third without a result yet, every fifth of no study."""
    resources = Resources.open(make_settings(tmp_path_factory.mktemp("history"), DATABASE_URL=module_database_url))
    with resources.database.write() as session:
        for number in range(23):
            scan_id, segmentation_id = add_rows(session, f"scan_{number % 7}%.png", f"model-{number % 2}")
            if number % 5:
                study_id = studies.place(session, f"Study {number % 3}")
                session.execute(update(Scan).where(Scan.id == scan_id).values(study_id=study_id))
            moment = DAY + timedelta(hours=6 * (number // 2))
            session.execute(update(Scan).where(Scan.id == scan_id).values(created_at=moment))
            session.execute(
                update(Segmentation).where(Segmentation.id == segmentation_id).values(scan_created_at=moment)
            )
            if number % 3 != 0:
                session.execute(
                    update(Segmentation)
                    .where(Segmentation.id == segmentation_id)
                    .values(
                        status=Status.SUCCEEDED,
                        verdict=Verdict.NO_TUMOR if number % 2 else Verdict.TUMOR_DETECTED,
                        coverage_percent=float(number % 5),
                    )
                )
    yield resources
    resources.close()


def listed(resources: Resources, **wanted: object) -> list[Scan]:
    with resources.database.read() as session:
        return history.page(session, HistoryFilter(limit=200, **wanted)).rows


@pytest.mark.parametrize("sort", [sort.value for sort in SORTS])
@pytest.mark.parametrize("limit", [1, 4, 23])
def test_pages_hold_every_scan_once_in_order(scans: Resources, sort: str, limit: int) -> None:
    whole = [scan.id for scan in listed(scans, sort=sort)]
    assert len(set(whole)) == len(whole) == {"coverage": 15, "study": 18}.get(sort, 23)
    paged, cursor = [], ""
    while cursor is not None:
        with scans.database.read() as session:
            page = history.page(session, HistoryFilter(sort=sort, limit=limit, cursor=cursor))
        paged += [scan.id for scan in page.rows]
        cursor = page.next_cursor
    assert paged == whole


@pytest.mark.parametrize("sort", [sort.value for sort in SORTS])
@pytest.mark.parametrize("wanted", [{"verdict": Verdict.NO_TUMOR}, {"model": "model-1"}, {"status": Status.QUEUED}])
def test_filtered_pages_hold_what_the_unfiltered_order_holds(scans: Resources, sort: str, wanted: dict) -> None:
    name, value = next(iter(wanted.items()))
    expected = [scan.id for scan in listed(scans, sort=sort) if getattr(scan.displayed, name) == value]
    with scans.database.read() as session:
        assert history.count(session, HistoryFilter(sort=sort, **wanted)) == len(expected)
    paged, cursor = [], ""
    while cursor is not None:
        with scans.database.read() as session:
            page = history.page(session, HistoryFilter(sort=sort, limit=3, cursor=cursor, **wanted))
        paged += [scan.id for scan in page.rows]
        cursor = page.next_cursor
    assert paged == expected


def test_filters_narrow_what_is_listed(scans: Resources) -> None:
    assert {scan.displayed.verdict for scan in listed(scans, verdict=Verdict.NO_TUMOR)} == {Verdict.NO_TUMOR}
    assert len(listed(scans, status=Status.QUEUED)) == 8
    assert {scan.displayed.model for scan in listed(scans, model="model-1")} == {"model-1"}
    assert len(listed(scans, from_date=DAY.date(), to_date=DAY.date())) == 8
    assert listed(scans, to_date=(DAY - timedelta(days=1)).date()) == []


def test_a_search_takes_its_words_literally(scans: Resources) -> None:
    assert {scan.filename for scan in listed(scans, query="SCAN_3%")} == {"scan_3%.png"}
    assert listed(scans, query="%_%x") == []


@pytest.mark.parametrize("few", [0, 1000])
def test_a_search_finds_its_words_in_any_order_and_place(
    scans: Resources, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """A file's name has one word, its study's name the others."""
    monkeypatch.setattr(history, "FEW", few)
    found = [(scan.filename, scan.study.name) for scan in listed(scans, query="2  scan_3 STUDY")]
    assert set(found) == {("scan_3%.png", "Study 2")}
    assert listed(scans, query="scan_3 nothing") == []
    assert listed(scans, query=" ".join(f"{word}" for word in range(120))) == []
    with scans.database.read() as session:
        assert [study.name for study in studies.page(session, "2 study", limit=10, cursor="").rows] == ["Study 2"]


def test_a_warning_finds_the_scans_that_keep_it_or_whose_run_does(scans: Resources) -> None:
    first, second, third = listed(scans, sort="name", status=Status.SUCCEEDED)[:3]
    with scans.database.write() as session:
        session.execute(update(Scan).where(Scan.id == first.id).values(warnings=["slices_missing", "constant"]))
        session.execute(update(Segmentation).where(Segmentation.scan_id == second.id).values(warnings=["not_flair"]))
        session.execute(update(Segmentation).where(Segmentation.scan_id == third.id).values(warnings=["notXflair"]))
    wanted = {"not_flair": {second.id}, "constant": {first.id}, "slices_miss": set()}
    assert {code: {scan.id for scan in listed(scans, warnings=[code])} for code in wanted} == wanted
    assert {scan.id for scan in listed(scans, warnings=["not_flair", "slices_missing"])} == {first.id, second.id}


def test_a_scan_is_listed_under_what_its_displayed_run_says(scans: Resources) -> None:
    """Whoever writes the columns: the list follows them in the same transaction."""
    scan = listed(scans, sort="name", status=Status.SUCCEEDED)[4]

    def found() -> set[str]:
        return {code for code in ("constant", "not_flair", "unlike_training_data") if listed(scans, warnings=[code])}

    others = found()
    with scans.database.write() as session:
        run = segmentations.add(session, scan.id, model="m", version=None, threshold=0.5)
        session.execute(update(Segmentation).where(Segmentation.id == run.id).values(warnings=["unlike_training_data"]))
        session.execute(update(Scan).where(Scan.id == scan.id).values(displayed_id=scan.displayed_id))
    assert found() == others
    with scans.database.write() as session:
        session.execute(update(Scan).where(Scan.id == scan.id).values(displayed_id=run.id))
    assert found() == others | {"unlike_training_data"}
    with scans.database.write() as session:
        session.execute(update(Scan).where(Scan.id == scan.id).values(displayed_id=scan.displayed_id))
        session.execute(delete(Segmentation).where(Segmentation.id == run.id))
    assert found() == others


@pytest.mark.parametrize("sort", [sort.value for sort in SORTS])
@pytest.mark.parametrize("few", [0, 1000])
def test_a_common_warning_finds_the_same_as_a_rare_one(
    scans: Resources, monkeypatch: pytest.MonkeyPatch, sort: str, few: int
) -> None:
    with scans.database.write() as session:
        session.execute(update(Scan).where(Scan.filename == "scan_1%.png").values(warnings=["gray_repeated"]))
    expected = [scan.id for scan in listed(scans, sort=sort) if scan.filename == "scan_1%.png"]
    monkeypatch.setattr(history, "FEW", few)
    for wanted in ({}, {"from_date": DAY.date()}, {"status": Status.QUEUED, "to_date": DAY.date()}):
        unfiltered = {scan.id for scan in listed(scans, sort=sort, **wanted)}
        for codes in (["gray_repeated"], ["gray_repeated", "burned_in_text"]):
            paged, cursor = [], ""
            while cursor is not None:
                asked = HistoryFilter(sort=sort, warnings=codes, limit=2, cursor=cursor, **wanted)
                with scans.database.read() as session:
                    page = history.page(session, asked)
                    assert history.count(session, asked) == len(unfiltered.intersection(expected))
                paged += [scan.id for scan in page.rows]
                cursor = page.next_cursor
            assert paged == [scan_id for scan_id in expected if scan_id in unfiltered]
    assert expected


def test_a_rare_warning_is_found_without_a_look_at_every_scan(empty_sqlite: Path, tmp_path: Path) -> None:
    """In SQLite's own steps, which a busy machine does not change."""
    database = Database(f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'many.sqlite3')}")
    add_scans(database, 3000)

    def steps(**wanted: object) -> int:
        with database.read() as session:
            taken = 0

            def count() -> int:
                nonlocal taken
                taken += 10
                return 0

            driver = session.connection().connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_progress_handler(count, 10)
            history.page(session, HistoryFilter(**wanted))
            if wanted:
                history.count(session, HistoryFilter(**wanted))
            driver.set_progress_handler(None, 0)
            return taken

    first = steps()
    assert steps(warnings=["burned_in_text"]) < first
    assert steps(warnings=["unlike_training_data"]) < 3 * first
    assert steps(warnings=["unlike_training_data"], sort="coverage") < 3 * first
    database.dispose()


def test_many_matches_are_counted_no_further_than_they_are_read(
    scans: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scans.database.read() as session:
        assert history.count(session, HistoryFilter()) == 23
        monkeypatch.setattr(history, "MOST_COUNTED", 10)
        assert history.count(session, HistoryFilter()) == 11


@pytest.mark.parametrize("cursor", ["x", "e30", "W10", "WyJuZXdlc3QiLCAxLCAyXQ", "é", "WyJuYW1lIiwgImEiLCAiYiJd"])
def test_a_cursor_that_is_not_ours_is_refused(resources: Resources, cursor: str) -> None:
    with resources.database.read() as session, pytest.raises(InvalidInput, match="cursor"):
        history.page(session, HistoryFilter(cursor=cursor))


@pytest.mark.parametrize("few", [0, 3, 4, 1000])
@pytest.mark.parametrize("wanted", [{}, {"sort": "coverage"}, {"status": Status.SUCCEEDED, "sort": "name"}])
def test_a_name_finds_the_same_scans_however_many_have_it(
    scans: Resources, monkeypatch: pytest.MonkeyPatch, few: int, wanted: dict[str, object]
) -> None:
    monkeypatch.setattr(history, "FEW", few)
    expected = [scan.id for scan in listed(scans, **wanted) if scan.filename == "scan_3%.png"]
    assert expected
    assert [scan.id for scan in listed(scans, query="SCAN_3%", **wanted)] == expected
    assert listed(scans, query="scan_3_", **wanted) == []


def reading_names(database: Database, **wanted: object) -> list[str]:
    """PostgreSQL's plans of what a page and its count read of names."""
    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, values: Any, *__: Any) -> None:
        if "search_name LIKE" in statement:
            with database.engine.connect() as another:
                driver = another.connection.cursor()
                driver.execute(f"EXPLAIN {statement}", values)
                plans.append("\n".join(line for (line,) in driver.fetchall()))

    event.listen(database.engine, "before_cursor_execute", explain)
    with database.read() as session:
        page = history.page(session, HistoryFilter(**wanted))
        assert history.count(session, HistoryFilter(**wanted)) >= len(page.rows) > 0
    event.remove(database.engine, "before_cursor_execute", explain)
    return plans


@pytest.mark.postgres
def test_a_rare_name_is_found_by_an_index_and_names_are_read_once(postgres_url: str) -> None:
    database = Database(postgres_url)
    add_scans(database, 3000)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE scans"))
    for sort in ("newest", "name", "coverage"):
        for query in ("patient_0042", "0042 patient"):
            (plan,) = reading_names(database, query=query, sort=sort)
            assert text_search.INDEX in plan
    database.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "wanted",
    [
        {"verdict": Verdict.TUMOR_DETECTED},
        {"verdict": Verdict.NO_TUMOR, "sort": "coverage"},
        {"status": Status.SUCCEEDED, "model": MODELS[0], "from_date": FIRST_DAY.date()},
        {"sort": "coverage"},
    ],
)
@pytest.mark.parametrize("owner", [None, ownership.LOCAL])
def test_matches_are_counted_from_two_indexes_and_no_table(
    postgres_url: str, wanted: dict[str, Any], owner: str | None
) -> None:
    database = Database(postgres_url)
    add_scans(database, 300)
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        found.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    ownership.act_as(owner)
    with database.read() as session:
        assert history.count(session, HistoryFilter(**wanted)) > 0
    ownership.act_as(None)
    ((statement, values),) = found
    assert statement.count("owner_id =") == (0 if owner is None else 1), "the run's own owner is not asked for again"
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        for way in ("seqscan", "hashjoin", "nestloop", "sort"):  # which so few rows would be read by
            connection.execute(text(f"SET enable_{way} TO off"))
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN {statement}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Merge Join" in plan and "Sort" not in plan, plan
    assert plan.count("Index Only Scan") == 2 and f"using {history.INDEXES[0]}" in plan, plan
    assert (f"using {history.INDEXES[1]}" in plan) is (owner is not None), plan
    database.dispose()


def test_names_are_read_once_for_a_page_and_its_count(scans: Resources) -> None:
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(scans.database.engine, "before_cursor_execute", note)
    asked = HistoryFilter(query="scan_3%")
    with scans.database.read() as session:
        found = history.page(session, asked).rows
        assert history.count(session, asked) == len(found) > 0
    event.remove(scans.database.engine, "before_cursor_execute", note)
    assert sum("search_name LIKE" in statement for statement in statements) == 1
