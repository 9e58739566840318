"""What is older than it is kept goes with everything of it, and the log says so; nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.support.resources import add_scan, upload
from tests.webapp.clients import resources_of
from webapp.domain import retention
from webapp.domain.accounts import audit
from webapp.domain.database.clock import database_now
from webapp.domain.errors import StorageUnavailable
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan, Segmentation
from worker.recovery.sweeper import Sweeper


def age(resources: Resources, kind: type[Scan] | type[Evaluation], id_: str, days: float) -> None:
    with resources.database.write() as session:
        session.execute(update(kind).where(kind.id == id_).values(created_at=database_now(-days * 86_400)))


def evaluation(resources: Resources, name: str) -> str:
    folder = resources.settings.evaluation_roots[0] / name
    folder.mkdir(parents=True)
    return submission.from_folder(resources, str(folder), EvaluationOptions())


def kept(resources: Resources) -> set[str]:
    with resources.database.read() as session:
        return {*session.scalars(select(Scan.id)), *session.scalars(select(Evaluation.id))}


def lines(resources: Resources) -> list[tuple[str, str, object]]:
    with resources.database.read() as session:
        assert audit.verify(session).broken_at is None
        return [(entry.action, entry.address, entry.details) for entry in audit.every(session)]


def test_what_is_older_goes_with_its_files_and_the_log_says_so(any_app: Flask) -> None:
    resources = resources_of(any_app)
    old, young = (upload(resources, filename=f"{name}.png").scan_id for name in ("old", "young"))
    old_set, young_set = (evaluation(resources, name) for name in ("old", "young"))
    for kind, id_, days in (
        (Scan, old, 30.01),
        (Scan, young, 29.99),
        (Evaluation, old_set, 31),
        (Evaluation, young_set, 1),
    ):
        age(resources, kind, id_, days)
    run = any_app.test_cli_runner()
    dry = run.invoke(args=["purge", "--days", "30", "--dry-run"])
    assert dry.exit_code == 0 and old in dry.output and old_set in dry.output and young not in dry.output
    assert kept(resources) == {old, young, old_set, young_set} and lines(resources) == []
    done = run.invoke(args=["purge", "--days", "30"])
    assert done.exit_code == 0 and "1 scans and 1 evaluations are deleted" in done.output, done.output
    assert kept(resources) == {young, young_set}
    stored = [path.as_posix() for path in Path(resources.settings.storage).rglob("*") if path.is_file()]
    assert stored and not any(old in path or old_set in path for path in stored)
    assert lines(resources) == [
        ("purge.scan", "command", {"days": 30, "ids": [old]}),
        ("purge.evaluation", "command", {"days": 30, "ids": [old_set]}),
    ]
    with resources.database.read() as session:
        assert set(session.scalars(select(Segmentation.scan_id))) == {young}


def test_a_purge_without_a_time_deletes_nothing(app: Flask) -> None:
    scan_id, _ = add_scan(resources_of(app))
    age(resources_of(app), Scan, scan_id, 36_000)
    run = app.test_cli_runner()
    assert "GLIOSCOPE_RETENTION_DAYS" in run.invoke(args=["purge"]).output
    for days in ("0", "-1", "x"):
        assert run.invoke(args=["purge", "--days", days]).exit_code == 2
    Sweeper(resources_of(app)).purge_when_due()
    assert kept(resources_of(app)) == {scan_id}


def test_the_sweeper_purges_once_an_hour(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = resources_of(app)
    resources = replace(resources, settings=replace(resources.settings, retention_days=7))
    first, second = (add_scan(resources)[0] for _ in range(2))
    age(resources, Scan, first, 8)
    sweeper = Sweeper(resources)
    sweeper.purge_when_due()
    assert kept(resources) == {second}
    age(resources, Scan, second, 8)
    sweeper.purge_when_due()
    assert kept(resources) == {second}
    monkeypatch.setattr(sweeper, "_purged_at", -retention.DAY_S)
    sweeper.purge_when_due()
    assert kept(resources) == set()
    assert [line[:2] for line in lines(resources)] == [("purge.scan", "sweeper")] * 2


def test_what_went_before_a_fault_is_in_the_log(
    app: Flask, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> None:
    resources = resources_of(app)
    ids = [add_scan(resources)[0] for _ in range(3)]
    for days, scan_id in zip((12, 11, 10), ids, strict=True):
        age(resources, Scan, scan_id, days)
    real = retention.lookup.delete

    def fail_at_last(resources: Resources, scan_id: str) -> None:
        if scan_id == ids[-1]:
            raise StorageUnavailable("away")
        real(resources, scan_id)

    monkeypatch.setattr(retention.lookup, "delete", fail_at_last)
    with pytest.raises(StorageUnavailable):
        retention.purge(resources, 7, by="sweeper")
    assert lines(resources) == [("purge.scan", "sweeper", {"days": 7, "ids": [gone]}) for gone in ids[:2]]
