"""The history with many rows: how long its first page, a page deep inside, filters and orders take over HTTP."""

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import insert, text, update

from bench.aims import MANY_ROWS, ROWS_P95
from bench.figures import Table, median, ms, p95
from tests.support.portal_process import RunningPortal, running_portal
from tests.support.servers import postgres_programs, postgres_server
from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.database.orm import new_id
from webapp.domain.jobs.models import Status
from webapp.domain.scans.models import Scan, Segmentation, Verdict

REQUESTS = 40
ROWS_AT_ONCE = 2000
FAILED = 12
MODELS = ("unet-vgg16-lgg", "unet-older", "unet-other")
# How many rows in a thousand have a model: the default, one of some, one of few.
MODEL_SHARES = (940, 57, 3)
# One run in a hundred has the first, none the second.
WARNINGS = ("unlike_training_data", "burned_in_text")
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)

QUERIES = (
    ("first page", {}),
    ("verdict=tumor_detected", {"verdict": "tumor_detected"}),
    (f"status=failed ({FAILED} rows)", {"status": "failed"}),
    ("model, 0.3 % of rows", {"model": MODELS[2]}),
    ("warning, 1 % of rows", {"warning": WARNINGS[0]}),
    ("warning, no row", {"warning": WARNINGS[1]}),
    ("q, 1 % of names", {"q": "patient_0042"}),
    ("q, no match", {"q": "nobody"}),
    ("sort=coverage", {"sort": "coverage"}),
    ("sort=coverage, no_tumor", {"sort": "coverage", "verdict": "no_tumor"}),
    ("sort=name", {"sort": "name"}),
)


def measure(scans: int) -> Iterator[Table]:
    """A table for SQLite, and one for PostgreSQL where its server programs are found."""
    yield _measure_portal(scans, "SQLite", {})
    programs = postgres_programs()
    if programs is not None:
        with postgres_server(programs) as where:
            yield _measure_portal(scans, "PostgreSQL", {"DATABASE_URL": f"postgresql+psycopg:///postgres?{where}"})


def add_scans(database: Database, scans: int, seed: int = 1) -> None:
    """Rows of finished scans, without files. A few failed; one in thirty was run twice."""
    chance = random.Random(seed)
    step = max(1, scans // FAILED)
    for start in range(0, scans, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, scans - start)
        rows = [_scan_row(start + number, chance) for number in range(count)]
        runs = [_run_row(row, chance, (start + number) % step == step // 2) for number, row in enumerate(rows)]
        repeated = [{**_run_row(row, chance, False), "id": new_id()} for row in rows[::30]]
        with database.write() as session:
            session.execute(insert(Scan), rows)
            session.execute(insert(Segmentation), runs + repeated)
            shown = [{"id": row["id"], "displayed_id": run["id"]} for row, run in zip(rows, runs, strict=True)]
            session.execute(update(Scan), shown)


def vacuum(database: Database) -> None:
    """As autovacuum does within minutes of so many new rows; until then no index answers alone. For PostgreSQL."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))


@contextmanager
def filled_portal(scans: int, environ: dict[str, str]) -> Iterator[RunningPortal]:
    """A running portal that holds so many scans."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        url = environ.get("DATABASE_URL", f"sqlite:///{folder / 'instance' / 'glioscope.sqlite3'}")
        migration.upgrade(url)
        database = Database(url)
        add_scans(database, scans)
        vacuum(database)
        database.dispose()
        with running_portal(folder, **environ) as portal:
            yield portal


def _measure_portal(scans: int, name: str, environ: dict[str, str]) -> Table:
    rows = []
    with filled_portal(scans, environ) as portal:
        deep = {"cursor": _cursor_deep_inside(portal, scans // 2)}
        queries = (QUERIES[0], ("a page in the middle", deep), *QUERIES[1:])
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(REQUESTS):  # interleaved, so that a slow moment of the machine falls on all alike
            for label, query in queries:
                for path in ("/scans", "/api/v1/scans"):
                    started = time.perf_counter()
                    status, _ = portal.call("GET", f"{path}?{urlencode(query)}")
                    seconds.setdefault((label, path), []).append(time.perf_counter() - started)
                    assert status == 200, (status, path, query)
        for label, _ in queries:
            page, api = seconds[label, "/scans"], seconds[label, "/api/v1/scans"]
            rows.append((label, ms(median(page)), ms(p95(page)), ms(median(api)), ms(p95(api))))
    head = ("query", "/scans median ms", "p95", "/api/v1/scans median ms", "p95")
    slowest = max(p95(taken) for taken in seconds.values())
    facts = {ROWS_P95: 1000 * slowest} if scans >= MANY_ROWS else {}
    return Table(f"History of {scans:,} scans, {name}, 50 rows a page", head, tuple(rows), facts=facts)


def _cursor_deep_inside(portal: RunningPortal, skipped: int) -> str:
    """The cursor after so many rows, walked to as a client would."""
    cursor, seen = "", 0
    while seen < skipped:
        _, page = portal.json("GET", f"/api/v1/scans?{urlencode({'limit': 200, 'cursor': cursor})}")
        cursor, seen = page["next_cursor"], seen + len(page["scans"])
    return cursor


def _scan_row(number: int, chance: random.Random) -> dict[str, object]:
    return {
        "id": f"{chance.getrandbits(128):032x}",
        "created_at": FIRST_DAY + timedelta(minutes=7 * number),
        "filename": f"patient_{chance.randrange(100):04d}_slice_{number:06d}.tif",
        "origin": "upload",
        "format": "tiff",
        "width": 256,
        "height": 256,
        "slice_count": 1,
        "spacing_mm": None,
        "sha256": f"{chance.getrandbits(256):064x}",
        "bytes": 196_950,
        "warnings": [],
    }


def _run_row(scan: dict[str, object], chance: random.Random, is_failed: bool) -> dict[str, object]:
    has_tumor = chance.random() < 0.4
    pixels = chance.randrange(30, 9000) if has_tumor else 0
    run_id = f"{chance.getrandbits(128):032x}"
    finding = {
        "verdict": Verdict.TUMOR_DETECTED if has_tumor else Verdict.NO_TUMOR,
        "tumor_pixels": pixels,
        "total_pixels": 65536,
        "coverage_percent": 100 * pixels / 65536,
        "max_probability": 0.99 if has_tumor else 0.1,
        "slices": [{"index": 0, "tumor_pixels": pixels, "max_probability": 0.99 if has_tumor else 0.1}],
        "error_code": None,
    }
    if is_failed:
        finding = {**dict.fromkeys(finding), "slices": None, "error_code": "poison"}
    return {
        "id": run_id,
        "scan_id": scan["id"],
        "scan_created_at": scan["created_at"],
        "created_at": scan["created_at"],
        "started_at": scan["created_at"],
        "finished_at": scan["created_at"],
        "attempt": 1,
        "status": Status.FAILED if is_failed else Status.SUCCEEDED,
        "error_message": "Processing stopped the worker 3 times; this file is not tried again." if is_failed else None,
        "model": chance.choices(MODELS, MODEL_SHARES)[0],
        "model_version": "1.0.0",
        "engine": "openvino-int8",
        "threshold": 0.5,
        "min_tumor_pixels": 30,
        "map_key": None if is_failed else f"scans/{str(scan['id'])[:2]}/{scan['id']}/{run_id}.1.npy",
        "timings_ms": {"queued": 8.0, "infer": 25.0, "total": 40.0},
        "warnings": [WARNINGS[0]] if chance.random() < 0.01 else [],
        **finding,
    }
