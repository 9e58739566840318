"""The names by which viewers know scans."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tests.webapp.clients import resources_of, sent
from webapp.domain.database.engine import Database
from webapp.domain.errors import NotFound
from webapp.domain.scans import viewer_images


def test_two_requests_may_send_one_image_at_once(any_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL lets both write: the second waits for the first, and is no fault of the server."""
    resources = resources_of(any_app)
    scan_id = sent(any_app.test_client())["id"]
    failed: list[Exception] = []

    def name() -> None:
        try:
            viewer_images.name(resources, scan_id, "MRI")
        except Exception as error:  # noqa: BLE001 - whatever it is
            failed.append(error)

    second, write = threading.Thread(target=name), resources.database.write

    @contextmanager
    def write_slowly() -> Iterator[Session]:
        monkeypatch.setattr(resources.database, "write", write)
        with write() as session:
            yield session
            session.flush()
            second.start()
            wait_for_a_lock(resources.database)

    monkeypatch.setattr(resources.database, "write", write_slowly)
    name()
    second.join()
    assert not failed
    assert viewer_images.scan_of(resources, "MRI") == scan_id


def test_no_name_is_kept_of_a_scan_that_is_gone(any_app: Flask) -> None:
    with pytest.raises(NotFound):
        viewer_images.name(resources_of(any_app), "0" * 32, "MRI")


def wait_for_a_lock(database: Database) -> None:
    """Until another transaction waits for this one; on SQLite it cannot even begin."""
    deadline = time.monotonic() + 30
    waiting = select(func.count()).select_from(text("pg_stat_activity")).where(text("wait_event_type = 'Lock'"))
    while not database.is_sqlite and time.monotonic() < deadline:
        with database.read() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.01)
