"""A backup of a working portal and the way back, over both databases, a folder and a bucket."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.support.evaluations import begin, read_report, run_all
from tests.support.jobs import run_segmentation
from tests.support.resources import make_settings, png_bytes, upload
from tests.support.s3_server import BUCKET, s3_server
from webapp.domain.accounts import audit, users
from webapp.domain.accounts.audit import Event
from webapp.domain.accounts.models import Role
from webapp.domain.backups import contents, databases, making, restoring
from webapp.domain.backups.contents import BackupError
from webapp.domain.errors import NotFound
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, segmentations, studies
from webapp.domain.scans.models import Scan
from webapp.domain.storage.keys import original_key, stack_key
from webapp.domain.tables import Base
from worker.process.runtime import Runtime


@pytest.fixture
def empty(request: pytest.FixtureRequest, resources: Resources, tmp_path: Path) -> Iterator[Resources]:
    """An instance of the same kind of database, without a scan."""
    url = request.getfixturevalue("postgres_url") if not resources.database.is_sqlite else ""
    other = Resources.open(make_settings(tmp_path / "other", **({"DATABASE_URL": url} if url else {})))
    yield other
    other.close()


def segmented(runtime: Runtime, value: int) -> str:
    """The id of a scan with its result."""
    accepted = upload(runtime.resources, png_bytes(value=value))
    run_segmentation(runtime, accepted.segmentation_id)
    return accepted.scan_id


def files_of(resources: Resources, scan_id: str) -> dict[str, bytes]:
    """A scan's row and stored files, without the database's own order."""
    with resources.database.read() as session:
        scan = lookup.get(session, scan_id)
        run = lookup.finished_run(session, scan, None)
        keys = (original_key(scan.id), stack_key(scan.id), run.map_key or "")
    found = {}
    for key in keys:
        with resources.storage.open(key) as file:
            found[key] = file.read()
    return found


def test_a_portal_comes_back_as_it_was(runtime: Runtime, data: Path, empty: Resources, tmp_path: Path) -> None:
    resources = runtime.resources
    scans = [segmented(runtime, value) for value in (60, 90)]
    evaluation = begin(resources, data)
    assert run_all(runtime, evaluation).status is Status.SUCCEEDED
    before = {scan_id: files_of(resources, scan_id) for scan_id in scans}
    report = read_report(resources, evaluation)

    made = making.make(resources, tmp_path / "backup")
    assert made.deleted == () and made.files >= 7
    restored = restoring.restore(empty, tmp_path / "backup")
    assert restored == made
    assert {scan_id: files_of(empty, scan_id) for scan_id in scans} == before
    assert read_report(empty, evaluation) == report
    key = empty.settings.instance_dir / "secret_key"
    assert key.read_text() == (resources.settings.instance_dir / "secret_key").read_text()
    assert key.stat().st_mode & 0o077 == 0 and (tmp_path / "backup").stat().st_mode & 0o077 == 0
    # Jobs go on: the restored portal takes and runs new ones.
    with pytest.raises(BackupError, match="This instance has scans"):
        restoring.restore(empty, tmp_path / "backup")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_portal_grows_from_sqlite_to_postgresql(
    runtime: Runtime, data: Path, postgres_url: str, tmp_path: Path
) -> None:
    """Every row of every table, a scan that is the same as another and a run of another's map among them."""
    resources = runtime.resources
    scans = [segmented(runtime, value) for value in (60, 90, 60)]
    again = segmentations.request(resources, scans[0], model=None, threshold=0.4)
    run_segmentation(runtime, again)
    studies.move(resources, scans[1], "Größe 7")
    with resources.database.write() as session:
        users.create(session, "ruth", "correct horse battery", Role.ADMIN)
        audit.append(session, Event("users.create", "ok"))
    assert run_all(runtime, begin(resources, data)).status is Status.SUCCEEDED
    before = {scan_id: files_of(resources, scan_id) for scan_id in scans}
    making.make(resources, tmp_path / "backup")

    grown = Resources.open(make_settings(tmp_path / "grown", DATABASE_URL=postgres_url))
    restoring.restore(grown, tmp_path / "backup")

    assert {scan_id: files_of(grown, scan_id) for scan_id in scans} == before
    with resources.database.read() as old, grown.database.read() as new:
        for table in Base.metadata.sorted_tables:
            one, other = (
                {tuple(map(repr, row)) for row in session.connection().execute(select(table))} for session in (old, new)
            )
            assert one == other, table.name
        assert new.scalar(select(func.count()).select_from(Scan).where(Scan.same_as_id.is_not(None))) == 1
        assert audit.verify(new).broken_at is None
    accepted = upload(grown, png_bytes(value=120))
    assert accepted.scan_id not in scans
    making.make(grown, tmp_path / "of_postgres")
    grown.close()
    small = Resources.open(make_settings(tmp_path / "small"))
    with pytest.raises(BackupError, match="set DATABASE_URL to an empty database of PostgreSQL"):
        restoring.restore(small, tmp_path / "of_postgres")
    small.close()


def test_unpacked_archives_come_back(runtime: Runtime, empty: Resources, tmp_path: Path) -> None:
    folder = runtime.resources.folders.make("0" * 32)
    (folder / "patient").mkdir()
    (folder / "patient" / "a b.png").write_bytes(b"data")
    making.make(runtime.resources, tmp_path / "backup")
    restoring.restore(empty, tmp_path / "backup")
    assert (empty.folders.path("0" * 32) / "patient" / "a b.png").read_bytes() == b"data"


def test_what_is_deleted_while_the_copy_is_made_stays_deleted(
    runtime: Runtime, empty: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = segmented(runtime, 60), segmented(runtime, 90)
    copy_out = databases.copy_out

    def then_delete(url: str, folder: Path) -> str:
        name = copy_out(url, folder)
        lookup.delete(runtime.resources, gone)
        return name

    monkeypatch.setattr(databases, "copy_out", then_delete)
    made = making.make(runtime.resources, tmp_path / "backup")
    assert made.deleted == (gone,)
    assert not [path for path in (tmp_path / "backup").rglob("*") if gone in str(path)]
    restoring.restore(empty, tmp_path / "backup")
    files_of(empty, kept)
    with empty.database.read() as session, pytest.raises(NotFound):
        lookup.get(session, gone)


def test_a_later_backup_links_to_what_an_older_one_has(runtime: Runtime, empty: Resources, tmp_path: Path) -> None:
    old = segmented(runtime, 60)
    making.make(runtime.resources, tmp_path / "monday")
    new = segmented(runtime, 90)
    making.make(runtime.resources, tmp_path / "tuesday", base=tmp_path / "monday")
    links = [path.stat().st_nlink for path in (tmp_path / "tuesday" / "files").rglob("*") if path.is_file()]
    assert sorted(links) == [1, 1, 1, 2, 2, 2]
    shutil.rmtree(tmp_path / "monday")
    restoring.restore(empty, tmp_path / "tuesday")
    assert files_of(empty, old) and files_of(empty, new)


def damage(folder: Path, how: str) -> None:
    path = next(path for path in (folder / "files").rglob("original"))
    lines = (folder / "files.jsonl").read_text().splitlines(keepends=True)
    match how:
        case "changed":
            path.write_bytes(bytes(path.stat().st_size))
        case "missing":
            path.unlink()
        case "no list":
            (folder / "files.jsonl").unlink()
        case "short list":
            (folder / "files.jsonl").write_text("".join(lines[1:]))
        case "cut list":
            (folder / "files.jsonl").write_text("".join(lines)[:-9])
        case "leads out":
            (folder / "files.jsonl").write_text(json.dumps({"path": "objects/../../x", "bytes": 1, "sha256": ""}))
        case "no database":
            next(folder.glob("database.*")).unlink()
        case "changed database":
            database = next(folder.glob("database.*"))
            data = bytearray(database.read_bytes())
            data[-1] ^= 1
            database.write_bytes(data)
        case "other key":
            (folder / "secret_key").write_text("x" * 64)
        case "no key":
            (folder / "secret_key").unlink()
        case "no manifest":
            (folder / "backup.json").unlink()
        case "newer":
            manifest = json.loads((folder / "backup.json").read_text())
            (folder / "backup.json").write_text(json.dumps(manifest | {"format": "glioscope-backup-9"}))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("changed", "1 of 3 files are missing or damaged"),
        ("missing", "1 of 3 files are missing or damaged"),
        ("no list", "missing or damaged"),
        ("short list", "not whole: 2 of 3"),
        ("cut list", "missing or damaged"),
        ("leads out", "leads out of the backup"),
        ("no database", "not whole"),
        ("changed database", "database.sqlite3 is missing or damaged"),
        ("other key", "secret_key is missing or damaged"),
        ("no key", "secret_key is missing or damaged"),
        ("no manifest", "is no backup"),
        ("newer", "glioscope-backup-9"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_changed(
    tmp_path: Path, empty_sqlite: Path, how: str, words: str
) -> None:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    resources = Resources.open(make_settings(tmp_path))
    empty = Resources.open(make_settings(tmp_path / "other"))
    try:
        upload(resources)
        resources.storage.put(_file(resources), "scans/00/0/stack.npy")
        making.make(resources, tmp_path / "backup")
        damage(tmp_path / "backup", how)
        with pytest.raises(BackupError, match=words):
            contents.verify(tmp_path / "backup")
        with pytest.raises(BackupError, match=words):
            restoring.restore(empty, tmp_path / "backup")
        assert list(empty.storage.keys(0)) == []
    finally:
        resources.close()
        empty.close()


def _file(resources: Resources) -> Path:
    path = resources.storage.temporary_file()
    path.write_bytes(b"data")
    return path


def test_a_backup_is_whole_or_not_there(resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(resources)

    def full(_url: str, _folder: Path) -> str:
        raise BackupError("no room")

    monkeypatch.setattr(databases, "copy_out", full)
    with pytest.raises(BackupError):
        making.make(resources, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    monkeypatch.undo()
    making.make(resources, tmp_path / "backup")
    with pytest.raises(BackupError, match="exists already"):
        making.make(resources, tmp_path / "backup")


def test_from_a_bucket_to_a_folder(empty_sqlite: Path, tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    with s3_server():
        resources = Resources.open(make_settings(tmp_path, GLIOSCOPE_STORAGE=f"s3://{BUCKET}/glio"))
        scan_id = upload(resources).scan_id
        making.make(resources, tmp_path / "backup")
        resources.close()
    empty = Resources.open(make_settings(tmp_path / "other"))
    restoring.restore(empty, tmp_path / "backup")
    with empty.storage.open(original_key(scan_id)) as file:
        assert file.read() == png_bytes()
    empty.close()


def test_a_password_is_not_in_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "pg_dump"
    where = '$(printf %s "${1#*passfile=}" | sed s:%2F:/:g)'
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}\ncat "{where}" >> {seen}\nexit 1\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BackupError, match="pg_dump failed"):
        databases.copy_out("postgresql+psycopg://me:se:cret@db/glio", tmp_path)
    line, secret = seen.read_text().splitlines()
    assert "se" + ":cret" not in line and line.startswith("--dbname=postgresql://me@db/glio?passfile=")
    assert secret == "*:*:*:*:se\\:cret"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [
                "pg_restore: error: could not execute query: ERROR:  permission denied for schema public",
                "LINE 1: C",
                "$_$;",
            ],
            "could not execute query: ERROR:  permission denied for schema public",
        ),
        (
            [
                "pg_dump: error: aborting because of server version mismatch",
                "pg_dump: detail: server version: 17.1; pg_dump version: 15.1",
            ],
            "aborting because of server version mismatch server version: 17.1; pg_dump version: 15.1",
        ),
        (["cannot run"], "cannot run"),
        ([], "it does not say why"),
    ],
)
def test_what_a_program_of_postgresqls_says_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], reason: str
) -> None:
    (tmp_path / "said").write_text("\n".join(lines))
    program = tmp_path / "pg_dump"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BackupError) as raised:
        databases.copy_out("postgresql+psycopg://me@db/glio", tmp_path)
    assert str(raised.value) == f"pg_dump failed: {reason}"


def test_a_database_is_copied_from_a_folder_with_a_hash_in_its_name(tmp_path: Path) -> None:
    source, copy = tmp_path / "scans #2" / "portal.sqlite3", tmp_path / "copy"
    source.parent.mkdir()
    copy.mkdir()
    with closing(sqlite3.connect(source)) as database:
        database.execute("CREATE TABLE kept (id)")

    name = databases.copy_out(f"sqlite:///{source}", copy)

    with closing(sqlite3.connect(copy / name)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("kept",)]


def test_a_backup_of_before_its_digests_is_sound(resources: Resources, tmp_path: Path) -> None:
    upload(resources)
    making.make(resources, tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / "backup.json").read_text())
    assert set(manifest.pop("digests")) == {manifest["database"], "files.jsonl", "secret_key"}
    (tmp_path / "backup" / "backup.json").write_text(json.dumps(manifest))
    contents.verify(tmp_path / "backup")
