"""Nobody looks at files inside a write transaction: on SQLite every other writer would wait for the disk."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.evaluations import begin, run_all
from tests.support.jobs import run_segmentation
from tests.support.resources import upload
from webapp.domain.catalog.entries import Catalog
from webapp.domain.database.engine import Database
from webapp.domain.evaluations import deletion
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, segmentations
from webapp.domain.scans.submission import RunOptions, submit_run
from worker.process.runtime import Runtime


def test_no_file_is_looked_at_inside_a_write_transaction(
    resources: Resources, runtime: Runtime, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload, another threshold, another model, an evaluation, and both deletions."""
    write, writing, seen = Database.write, set(), []  # the threads that are inside of one

    @contextmanager
    def watched(database: Database, **options: bool) -> Iterator[object]:
        with write(database, **options) as session:
            writing.add(threading.get_ident())
            try:
                yield session
            finally:
                writing.discard(threading.get_ident())

    def watch(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object, **options: object) -> object:
            if threading.get_ident() in writing:
                seen.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    monkeypatch.setattr(Database, "write", watched)
    for name in ("resolve", "stat", "open", "is_dir", "is_file", "iterdir", "unlink", "rename", "mkdir"):
        watch(Path, name)
    watch(Catalog, "card")
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    run_segmentation(runtime, submit_run(resources, accepted.scan_id, RunOptions(threshold=0.3)))
    model = resources.settings.default_model
    run_segmentation(runtime, segmentations.request(resources, accepted.scan_id, model=model, threshold=None))
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    lookup.delete(resources, accepted.scan_id)
    deletion.delete(resources, evaluation_id)
    assert seen == []


def test_a_write_that_does_not_wait_for_the_disk_leaves_the_next_one_as_it_was(database_url: str) -> None:
    database = Database(database_url)
    asked = text("PRAGMA synchronous" if database.is_sqlite else "SHOW synchronous_commit")
    found = []
    for waits in (True, False, True):
        with database.write(waits_for_disk=waits) as session:
            found.append(session.scalar(asked))
    database.dispose()
    # SQLite's numbers: 2 is FULL, 1 is NORMAL.
    assert found == ([2, 1, 2] if database.is_sqlite else ["on", "off", "on"])
