"""Evaluations with many cases: how long their list, the report, its tables and its files take over HTTP."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.aims import MANY_ROWS, ROWS_P95
from bench.evaluation_database import add_finished, add_running
from bench.figures import Table, median, ms, p95
from tests.support.portal_process import RunningPortal, running_portal
from tests.support.servers import postgres_programs, postgres_server
from webapp.domain.database import migration
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings

REQUESTS = 40
DOWNLOADS = 5


@dataclass(frozen=True)
class Filled:
    """A running portal with one finished and one running evaluation; seconds: what the finished one's report took."""

    portal: RunningPortal
    finished: str
    running: str
    report_s: float


@dataclass(frozen=True)
class Query:
    """What is asked for: its words, and the paths of the page and of the API, None where there is none."""

    label: str
    page: str | None
    api: str | None


def measure(cases: int) -> Iterator[Table]:
    """Tables for SQLite, and for PostgreSQL where its server programs are found."""
    yield from _measure_database(cases, "SQLite", {})
    programs = postgres_programs()
    if programs is not None:
        with postgres_server(programs) as where:
            url = f"postgresql+psycopg:///postgres?{where}"
            yield from _measure_database(cases, "PostgreSQL", {"DATABASE_URL": url})


def _measure_database(cases: int, name: str, environ: dict[str, str]) -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        portal = Resources.open(Settings.from_environment({"GLIOSCOPE_INSTANCE": str(folder / "instance"), **environ}))
        try:
            migration.upgrade(portal.settings.database_url)
            running = add_running(portal, cases)
            finished, report_s = add_finished(portal, cases)
        finally:
            portal.close()
        with running_portal(folder, **environ) as served:
            filled = Filled(served, finished, running, report_s)
            yield _pages(filled, cases, name)
            yield _files(filled, cases, name)


def _pages(filled: Filled, cases: int, name: str) -> Table:
    queries = _queries(filled, cases)
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(REQUESTS):  # interleaved, so that a slow moment of the machine falls on all alike
        for query in queries:
            for kind, path in (("page", query.page), ("api", query.api)):
                if path is not None:
                    seconds.setdefault((query.label, kind), []).append(_timed(filled.portal, path))
    rows = []
    for query in queries:
        cells = []
        for kind in ("page", "api"):
            taken = seconds.get((query.label, kind))
            cells += ["", ""] if taken is None else [ms(median(taken)), ms(p95(taken))]
        rows.append((query.label, *cells))
    note = (
        "One evaluation that has ended and one that runs, each of so many cases. The page with a filter is the whole"
        " report: both tables, gallery and plots' numbers."
    )
    head = ("query", "page median ms", "p95", "/api/v1 median ms", "p95")
    slowest = max(p95(taken) for taken in seconds.values())
    facts = {ROWS_P95: 1000 * slowest} if cases >= MANY_ROWS else {}
    return Table(f"Evaluations of {cases:,} cases, {name}, 50 rows a page", head, tuple(rows), note, facts)


def _files(filled: Filled, cases: int, name: str) -> Table:
    """Downloads and plots: bytes, and how long they take to arrive."""
    base = f"/api/v1/evaluations/{filled.finished}"
    rows = []
    for file in ("metrics.csv", "patients.csv", "report.json", "report.html", "report.pdf", "figures/dice_by_size.svg"):
        taken = [_timed(filled.portal, f"{base}/{file}") for _ in range(DOWNLOADS)]
        _, data = filled.portal.call("GET", f"{base}/{file}")
        rows.append((file, f"{len(data) / 1e6:.2f}", ms(median(taken)), ms(p95(taken))))
    note = f"A worker added the report up in {filled.report_s:.1f} s."
    return Table(
        f"Files of a report of {cases:,} cases, {name}", ("file", "MB", "median ms", "p95 ms"), tuple(rows), note
    )


def _queries(filled: Filled, cases: int) -> list[Query]:
    def both(label: str, **wanted: str) -> Query:
        query = urlencode(wanted)
        own = f"/evaluations/{filled.finished}"
        return Query(label, f"{own}?{query}", f"/api/v1{own}/cases?{query}")

    patient = f"TCGA_{cases // 70:05d}"
    running = f"/evaluations/{filled.running}"
    queries = [
        Query("list of evaluations", "/evaluations", "/api/v1/evaluations"),
        Query("finished, as it is opened", f"/evaluations/{filled.finished}", f"/api/v1/evaluations/{filled.finished}"),
        Query("running, as it is opened", running, f"/api/v1{running}"),
        both("cases in order"),
        both("cases, a page in the middle", cursor=_cursor_deep_inside(filled, cases // 2)),
    ]
    for order in ("worst", "best", "largest"):
        queries.append(both(f"order={order}", order=order))
        deep = _cursor_deep_inside(filled, cases // 10, order=order)
        queries.append(both(f"order={order}, 10 % in", order=order, cursor=deep))
    for outcome in ("missed", "false_alarm", "failed"):
        queries.append(both(f"outcome={outcome}", outcome=outcome))
        queries.append(both(f"outcome={outcome}, order=largest", outcome=outcome, order="largest"))
    queries += [
        both("outcome=found, order=worst", outcome="found", order="worst"),
        both("outcome=missed, order=worst", outcome="missed", order="worst"),
        both("one patient", patient=patient),
        both("one patient, order=worst", patient=patient, order="worst"),
        both("q, one patient", q=patient),
        both("q, no match", q="nobody"),
        both("q, no match, order=worst", q="nobody", order="worst"),
    ]
    for label, page, api in (
        ("patients, order=worst", {"patient_order": "worst"}, {"order": "worst"}),
        ("patients, q, no match", {"patient_q": "nobody"}, {"q": "nobody"}),
    ):
        own = f"/evaluations/{filled.finished}"
        queries.append(Query(label, f"{own}?{urlencode(page)}", f"/api/v1{own}/patients?{urlencode(api)}"))
    return queries


def _cursor_deep_inside(filled: Filled, skipped: int, **wanted: str) -> str:
    """The cursor after so many rows, walked to as a client would."""
    cursor, seen = "", 0
    while seen < skipped:
        query = urlencode({"limit": 500, "cursor": cursor, **wanted})
        _, page = filled.portal.json("GET", f"/api/v1/evaluations/{filled.finished}/cases?{query}")
        cursor, seen = page["next_cursor"], seen + len(page["cases"])
    return cursor


def _timed(portal: RunningPortal, path: str) -> float:
    started = time.perf_counter()
    status, _ = portal.call("GET", path)
    seconds = time.perf_counter() - started
    assert status == 200, (status, path)
    return seconds
