"""The sweeper brings back what a crash left, and nothing else."""

import inspect
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.exc import ProgrammingError

from tests.support.jobs import claim, end_delays
from tests.support.resources import add_scan, make_settings, row, upload
from tests.support.servers import redis_server
from webapp.domain.database.clock import database_now
from webapp.domain.database.identity import Identity
from webapp.domain.errors import StorageUnavailable
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Segmentation
from webapp.domain.storage import keys
from webapp.domain.storage.keys import evaluation_prefix, original_key, scan_prefix
from webapp.domain.uploads import idempotency
from worker.recovery.orphans import delete_orphans
from worker.recovery.sweeper import Sweeper, SweepReport


@pytest.fixture
def resources(tmp_path, empty_sqlite) -> Iterator[Resources]:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    with redis_server() as url:
        resources = Resources.open(
            make_settings(
                tmp_path, REDIS_URL=url, GLIOSCOPE_LEASE_S="1", GLIOSCOPE_HEARTBEAT_S="0.2", GLIOSCOPE_SWEEP_S="0.1"
            )
        )
        yield resources
        resources.close()


def stored(resources: Resources) -> set[str]:
    """The keys of all files but the databases' marks."""
    return {key for key in resources.storage.keys(0) if not keys.DATABASE_MARK.fullmatch(key)}


def opened_beside(resources: Resources, tmp_path: Path, empty: Path) -> Resources:
    """Another database over the same storage."""
    shutil.copy(empty, tmp_path / "other.sqlite3")
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    return Resources.open(make_settings(tmp_path, REDIS_URL=resources.settings.redis_url, DATABASE_URL=url))


def lose(resources: Resources) -> str:
    """A job whose worker took it and died."""
    _, segmentation_id = add_scan(resources)
    with resources.database.write() as session:
        claim(session, Segmentation, segmentation_id, worker_id="dead", lease_s=15)
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(lease_until=database_now(-1)))
    return segmentation_id


def test_a_lost_job_is_queued_again_after_a_heartbeat_and_a_worker_woken(resources) -> None:
    segmentation_id = lose(resources)
    sweeper = Sweeper(resources)
    assert sweeper.sweep().recovered == 0
    assert row(resources, segmentation_id).status is Status.RUNNING
    time.sleep(resources.settings.heartbeat_s)
    assert sweeper.sweep().recovered == 1
    assert row(resources, segmentation_id).status is Status.QUEUED
    assert resources.queue.length() == 1


def test_a_live_job_survives_a_clock_that_jumps_ahead(resources) -> None:
    """All leases are over at once; the live worker renews its own within a heartbeat, and keeps its job."""
    _, segmentation_id = add_scan(resources)
    with resources.database.write() as session:
        claimed = claim(session, Segmentation, segmentation_id, worker_id="live", lease_s=15)
        session.execute(update(Segmentation).values(lease_until=database_now(-3600)))
    sweeper = Sweeper(resources)
    sweeper.sweep()
    with resources.database.write() as session:
        assert lifecycle.extend(session, claimed, lease_s=15)
    time.sleep(resources.settings.heartbeat_s)
    assert sweeper.sweep().recovered == 0
    assert row(resources, segmentation_id).status is Status.RUNNING


def test_a_lost_message_is_published_again_once(resources) -> None:
    add_scan(resources)
    sweeper = Sweeper(resources)
    assert sweeper.sweep().has_published
    assert not sweeper.sweep().has_published, "the queue holds a message now"
    assert resources.queue.length() == 1


def test_nothing_is_published_for_jobs_that_run_or_wait(resources) -> None:
    sweeper = Sweeper(resources)
    _, segmentation_id = add_scan(resources)
    with resources.database.write() as session:
        claimed = claim(session, Segmentation, segmentation_id)
    assert not sweeper.sweep().has_published
    with resources.database.write() as session:
        lifecycle.release(session, claimed)
    assert not sweeper.sweep().has_published, "it waits after its release"
    end_delays(resources)
    assert sweeper.sweep().has_published


def test_files_without_a_row_go_and_files_with_one_stay(resources) -> None:
    accepted = upload(resources)
    kept = stored(resources)
    orphan = resources.storage.temporary_file()
    resources.storage.put(orphan, f"{scan_prefix('f' * 32)}/original")
    stale_map = resources.storage.temporary_file()
    resources.storage.put(stale_map, f"{scan_prefix(accepted.scan_id)}/{accepted.segmentation_id}.1.npy")
    left_by_a_crash = resources.storage.temporary_file()
    assert delete_orphans(resources, older_than_s=60) == 0
    assert delete_orphans(resources, older_than_s=0) == 3
    assert stored(resources) == kept
    assert not left_by_a_crash.exists()


def test_files_from_before_everything_that_the_database_knows_stay(resources, tmp_path, empty_sqlite, caplog) -> None:
    """Another DATABASE_URL over the same storage: what the first one names is there when it is set again."""
    upload(resources)
    kept = stored(resources)
    for key in kept:
        path = Path(resources.settings.storage) / "objects" / key
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 7200))
    other = opened_beside(resources, tmp_path, empty_sqlite)
    assert delete_orphans(other, older_than_s=3600) == 0
    assert f"{len(kept)} files or folders" in caplog.text and "DATABASE_URL" in caplog.text
    upload(other)
    other.storage.put(other.storage.temporary_file(), original_key("f" * 32))
    assert delete_orphans(other, older_than_s=0) == 1, "what a crash leaves from now on goes"
    assert kept <= stored(other)
    other.close()
    assert delete_orphans(resources, older_than_s=0) > 0, "the other one's"
    assert stored(resources) == kept


def test_of_two_databases_over_one_storage_neither_takes_the_others_files_away(
    resources, tmp_path, empty_sqlite, caplog
) -> None:
    """A portal for tries that was given the other one's GLIOSCOPE_STORAGE, say: neither knows of the other's rows."""
    other = opened_beside(resources, tmp_path, empty_sqlite)
    with other.database.write() as session:
        session.execute(update(Identity).values(id="b" * 32))
    for one in (resources, other):
        assert delete_orphans(one, older_than_s=0) == 0
    assert not list(resources.storage.keys(0)), "an empty store is left empty: it may be a folder without its mount"
    upload(resources)
    delete_orphans(resources, older_than_s=0)
    upload(other)
    delete_orphans(other, older_than_s=0)
    kept = stored(resources)
    assert len(kept) == 4
    for one in (resources, other):
        caplog.clear()
        one.storage.put(one.storage.temporary_file(), original_key("f" * 32))
        assert delete_orphans(one, older_than_s=0) == 0
        assert "another database" in caplog.text and "GLIOSCOPE_STORAGE" in caplog.text
    assert stored(resources) == {*kept, original_key("f" * 32)}
    resources.storage.delete(f"databases/{'b' * 32}")
    other.close()
    assert delete_orphans(resources, older_than_s=0) > 0, "its mark was removed: it is gone for good"


def test_what_a_deletion_left_goes_though_it_is_older_than_all_that_is_there(resources) -> None:
    """The oldest scan of all, whose files could not be removed with its row."""
    scan_id = upload(resources).scan_id
    files = stored(resources)
    copies = {key: (Path(resources.settings.storage) / "objects" / key).read_bytes() for key in files}
    lookup.delete(resources, scan_id)
    for key, data in copies.items():
        path = Path(resources.settings.storage) / "objects" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (0, 1_000_000_000))
    assert delete_orphans(resources, older_than_s=0) == len(files)
    assert not stored(resources)


def test_files_of_a_feature_that_the_sweeper_does_not_know_are_left_alone(resources) -> None:
    foreign = {"exports/x", "exports/ab/0f/whole.zip", f"exports/ab/{'a' * 32}/whole.zip"}
    for key in foreign:
        resources.storage.put(resources.storage.temporary_file(), key)
    assert delete_orphans(resources, older_than_s=0) == 0
    assert stored(resources) == foreign


def test_what_is_not_the_portals_stays_and_is_counted(resources, caplog) -> None:
    """Of scans and evaluations that are there and of some that are not; keys of every length; no name in the log."""
    accepted = upload(resources)
    objects = Path(resources.settings.storage) / "objects"
    scan, gone = scan_prefix(accepted.scan_id), scan_prefix("f" * 32)
    strangers = {
        "x", "scans/x", "scans/ab/x", f"{scan}/notes.txt", f"{scan}/mask.npy", f"{scan}/{'a' * 32}.one.npy",
        f"{scan}/truth/original", f"{gone}/mask.nii.gz", f"{gone}/Müller 1.png", "scans/ab/short/original",
        f"{evaluation_prefix('e' * 32)}/cases/own.npz", f"{evaluation_prefix('e' * 32)}/x", "evaluations/x",
    }  # fmt: skip
    for name in strangers:
        (objects / name).parent.mkdir(parents=True, exist_ok=True)
        (objects / name).write_bytes(b"x")
    folders = Path(resources.settings.storage) / "folders"
    for name in ("mydata", "lost+found", f"{'e' * 32}.other.1"):
        (folders / name).mkdir(parents=True)
    (Path(resources.settings.storage) / "temporary" / "tmpfolder").mkdir()
    orphan = resources.storage.temporary_file()
    resources.storage.put(orphan, f"{gone}/original")
    assert delete_orphans(resources, older_than_s=0) == 1
    assert {name for name in strangers if not (objects / name).is_file()} == set()
    assert len(list(folders.iterdir())) == 3
    assert f"{len(strangers)} files or folders" in caplog.text and "Müller" not in caplog.text


def test_every_key_that_is_made_has_a_form_by_which_it_is_known() -> None:
    owner = "a" * 32
    made = {
        name: function(*(GIVEN.get(parameter, owner) for parameter in inspect.signature(function).parameters))
        for name, function in inspect.getmembers(keys, inspect.isfunction)
        if name.endswith(("_key", "_folder"))
    }
    assert len(made) >= 7
    for name, key in made.items():
        forms = (keys.EVALUATION_FOLDER,) if name.endswith("_folder") else (keys.SCAN_FILE, keys.EVALUATION_FILE)
        assert [found["owner"] for form in forms if (found := form.fullmatch(key))] == [owner], name
    assert keys.EVALUATION_FOLDER.fullmatch(owner)


GIVEN = {"attempt": 12, "position": 345, "name": "gallery/worst_1.png"}


def test_a_file_that_cannot_be_removed_keeps_no_other_from_it(resources, monkeypatch, caplog) -> None:
    add_scan(resources)
    kept = stored(resources)
    for scan_id in ("e" * 32, "f" * 32):
        resources.storage.put(resources.storage.temporary_file(), original_key(scan_id))
    real = resources.storage.delete

    def delete(key: str) -> None:
        if "eee" in key:
            raise StorageUnavailable("read-only.")
        real(key)

    monkeypatch.setattr(resources.storage, "delete", delete)
    assert delete_orphans(resources, older_than_s=0) == 1
    assert stored(resources) == {*kept, original_key("e" * 32)}
    assert "storage_unavailable" in caplog.text


@pytest.mark.parametrize("error", [ProgrammingError("SELECT", {}, Exception("no such column")), IndexError("short")])
def test_the_loop_survives_whatever_a_round_meets(resources, monkeypatch, caplog, error) -> None:
    stopped, rounds = threading.Event(), []

    def fail(sweeper: Sweeper) -> None:
        rounds.append(1)
        if len(rounds) == 4:
            stopped.set()
        raise error

    monkeypatch.setattr(Sweeper, "sweep", fail)
    monkeypatch.setattr(Sweeper, "delete_orphans_when_due", fail)
    Sweeper(resources).run(stopped)
    assert len(rounds) == 4, "one step's fault does not keep the other from its turn"
    assert caplog.text.count("this sweep ended early") == 4


def test_a_job_that_cannot_be_recovered_keeps_no_other_from_it(resources, monkeypatch) -> None:
    lost = [lose(resources) for _ in range(2)]
    real = lifecycle.recover

    def recover(session, table, lease, **limits):
        if lease.id == lost[0]:
            raise ValueError("a row of another version")
        return real(session, table, lease, **limits)

    monkeypatch.setattr(lifecycle, "recover", recover)
    sweeper = Sweeper(resources)
    sweeper.sweep()
    time.sleep(resources.settings.heartbeat_s)
    report = sweeper.sweep()
    assert report == SweepReport(recovered=1, has_published=True)
    assert row(resources, lost[1]).status is Status.QUEUED


def test_keys_past_their_day_are_forgotten(resources) -> None:
    def use() -> dict[str, object]:
        return idempotency.once(
            resources, scope="s", key="k", body_sha256="b", work=lambda: {"made": os.urandom(4).hex()}
        )

    first = use()
    assert use() == first
    with resources.database.write() as session:
        session.execute(update(idempotency.IdempotencyKey).values(created_at=database_now(-idempotency.KEPT_S - 1)))
    delete_orphans(resources, older_than_s=3600)
    assert use() != first
