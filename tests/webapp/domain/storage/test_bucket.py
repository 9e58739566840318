"""The bucket store beside a real S3 server: the same promises as the folder's, and a store that fails in every way."""

import gc
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import numpy as np
import pytest

from tests.support.s3_server import BUCKET, S3Server, cut_body, refusal, s3_server
from webapp.domain.errors import DataLost, StorageFull, StorageUnavailable
from webapp.domain.storage import bucket
from webapp.domain.storage.arrays import read_array, read_group, write_array, write_group
from webapp.domain.storage.bucket import BucketStorage


@pytest.fixture(scope="module")
def running_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running_server: S3Server) -> Iterator[S3Server]:
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    running_server.requests.clear()
    yield running_server
    running_server.faults.clear()


@pytest.fixture
def storage(server: S3Server, tmp_path: Path) -> Iterator[BucketStorage]:
    storage = BucketStorage(BUCKET, "glio/one", tmp_path / "temporary")
    yield storage
    storage.close()
    assert nameless_files() == 0


def put(storage: BucketStorage, key: str, data: bytes = b"x") -> None:
    source = storage.temporary_file()
    source.write_bytes(data)
    storage.put(source, key)
    assert not source.exists()


def objects() -> list[str]:
    return [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def local_files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


def nameless_files() -> int:
    """How many files this process has open that have no name any more, what is garbage aside."""
    if open_nameless_files():
        gc.collect()  # mappings hold their file; among all that a run has made garbage is looked for half a second
    return open_nameless_files()


def open_nameless_files() -> int:
    """As `nameless_files`, with garbage."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(str(path.readlink()))
    return sum("/temporary/tmp" in link and link.endswith("(deleted)") for link in links)


@pytest.mark.parametrize("key", ["../x", "/x", "a/../b", "a//b", "", "A", "a b", ".x", "a/", "a\0", "ü", "a/.", "a\n"])
def test_a_key_that_is_not_ours_is_refused(storage: BucketStorage, key: str) -> None:
    for call in (storage.open, storage.exists, storage.delete):
        with pytest.raises(ValueError, match="not a storage key"):
            call(key)


def test_a_put_file_is_there_whole_below_the_prefix(storage: BucketStorage, tmp_path: Path) -> None:
    put(storage, "scans/ab/one", b"data")
    with storage.open("scans/ab/one") as file, storage.local_copy("scans/ab/one") as path:
        assert file.read() == path.read_bytes() == b"data"
        file.seek(1)
        assert file.read() == b"ata"
    assert storage.exists("scans/ab/one") and not storage.exists("scans/ab") and not storage.exists("scans/ab/two")
    assert objects() == ["glio/one/scans/ab/one"] and local_files(tmp_path) == []
    assert list(storage.keys(0)) == ["scans/ab/one"] and list(storage.keys(3600)) == []


def test_a_store_without_a_prefix(server: S3Server, tmp_path: Path) -> None:
    storage = BucketStorage(BUCKET, "", tmp_path)
    put(storage, "scans/ab/one")
    assert objects() == ["scans/ab/one"] == list(storage.keys(0))


def test_what_is_not_stored_is_not_found(storage: BucketStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.open("scans/ab/one")
    with pytest.raises(FileNotFoundError), storage.local_copy("scans/ab/one"):
        pass
    with pytest.raises(DataLost):
        read_array(storage, "scans/ab/one")
    with pytest.raises(DataLost):
        read_group(storage, "scans/ab/one", ["q0"])


def test_deleting_removes_a_key_or_all_below_it(storage: BucketStorage) -> None:
    for key in ("scans/ab/one/a", "scans/ab/one/b", "scans/ab/one1", "scans/cd/two/a"):
        put(storage, key)
    storage.delete("scans/ab/one")
    storage.delete("scans/ab/one")
    assert objects() == ["glio/one/scans/ab/one1", "glio/one/scans/cd/two/a"]
    storage.delete("scans/cd/two/a")
    assert list(storage.keys(0)) == ["scans/ab/one1"]


def test_more_than_a_page_of_keys(storage: BucketStorage, server: S3Server) -> None:
    server.fill(f"glio/one/scans/ab/one/{number}" for number in range(1_050))
    assert len(list(storage.keys(0))) == 1_050
    storage.delete("scans/ab/one")
    assert objects() == []


def test_arrays_come_back_mapped_and_are_fetched_once(storage: BucketStorage, server: S3Server) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_array(storage, "scans/ab/map.npy", array)
    write_group(storage, "scans/ab/group.npz", {"q0": array})
    for _ in range(3):
        back = read_array(storage, "scans/ab/map.npy")
        assert isinstance(back, np.memmap) and np.array_equal(back, array)
    assert np.array_equal(read_group(storage, "scans/ab/group.npz", ["q0"])[0], array)
    fetched = [line for line in server.requests if line == f"GET {BUCKET}/glio/one/scans/ab/map.npy"]
    assert len(fetched) == 1


def test_a_mapping_outlives_what_is_kept(server: S3Server, tmp_path: Path) -> None:
    storage = BucketStorage(BUCKET, "", tmp_path / "temporary", kept_bytes=0)
    first, second = np.full((64, 64), 1, np.uint8), np.full((64, 64), 2, np.uint8)
    write_array(storage, "scans/one.npy", first)
    write_array(storage, "scans/two.npy", second)
    arrays = [read_array(storage, key) for key in ("scans/one.npy", "scans/two.npy", "scans/one.npy")]
    storage.delete("scans/one.npy")
    assert [int(array.max()) for array in arrays] == [1, 2, 1]
    del arrays
    assert nameless_files() == 0
    with pytest.raises(DataLost):
        read_array(storage, "scans/one.npy")


def test_a_deleted_object_is_not_kept(storage: BucketStorage) -> None:
    put(storage, "scans/ab/one/original", b"data")
    with storage.open("scans/ab/one/original"):
        storage.delete("scans/ab/one")
    with pytest.raises(FileNotFoundError):
        storage.open("scans/ab/one/original")


def test_what_nobody_asked_for_in_a_while_is_dropped(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    put(storage, "scans/ab/one", b"data")
    put(storage, "scans/ab/two", b"data")
    storage.open("scans/ab/one").close()
    assert nameless_files() == 1
    monkeypatch.setattr(bucket, "KEPT_S", -1.0)
    storage.open("scans/ab/two").close()
    assert nameless_files() == 0


def test_a_busy_store_is_asked_again(storage: BucketStorage, server: S3Server) -> None:
    server.faults += [refusal("503 Slow Down", "SlowDown")] * 2
    put(storage, "scans/ab/one", b"data")
    server.faults += [refusal("500 Internal Server Error", "InternalError")]
    with storage.open("scans/ab/one") as file:
        assert file.read() == b"data"


def test_a_body_that_is_cut_is_fetched_again(storage: BucketStorage, server: S3Server) -> None:
    put(storage, "scans/ab/one", b"data" * 1000)
    server.faults += [cut_body, cut_body]
    with storage.open("scans/ab/one") as file:
        assert file.read() == b"data" * 1000


def test_a_body_that_is_always_cut_is_no_file(storage: BucketStorage, server: S3Server, tmp_path: Path) -> None:
    put(storage, "scans/ab/map.npy", b"data" * 1000)
    server.faults += [cut_body] * 20
    with pytest.raises(StorageUnavailable) as caught:
        read_array(storage, "scans/ab/map.npy")
    assert not isinstance(caught.value, DataLost) and local_files(tmp_path) == []


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_a_store_that_refuses_is_unavailable_and_keeps_the_file(
    storage: BucketStorage, server: S3Server, code: str
) -> None:
    storage.exists("scans/ab/one")
    source = storage.temporary_file()
    server.faults += [refusal("403 Forbidden", code)] * 3
    with pytest.raises(StorageUnavailable):
        storage.put(source, "scans/ab/one")
    with pytest.raises(StorageUnavailable):
        storage.delete("scans/ab/one")
    with pytest.raises(StorageUnavailable):
        storage.check()
    assert source.exists() and objects() == []


def test_a_store_without_room_is_full(storage: BucketStorage, server: S3Server) -> None:
    storage.exists("scans/ab/one")
    server.faults += [refusal("507 Insufficient Storage", "XMinioStorageFull")] * 9
    with pytest.raises(StorageFull):
        write_array(storage, "scans/ab/one.npy", np.zeros(3, np.uint8))


def test_an_object_that_could_not_be_deleted_is_said(storage: BucketStorage, server: S3Server) -> None:
    put(storage, "scans/ab/one/a")
    body = b"<DeleteResult><Error><Key>k</Key><Code>InternalError</Code></Error></DeleteResult>"
    server.faults += [
        lambda request: (
            ("200 OK", [("Content-Length", str(len(body)))], [body]) if "delete" in request["QUERY_STRING"] else None
        )
    ]
    with pytest.raises(StorageUnavailable):
        storage.delete("scans/ab/one")
    assert objects() == ["glio/one/scans/ab/one/a"]


def test_a_bucket_that_does_not_exist_is_named(server: S3Server, tmp_path: Path) -> None:
    storage = BucketStorage("nowhere", "", tmp_path)
    with pytest.raises(StorageUnavailable, match="bucket does not exist"):
        storage.check()
    with pytest.raises(StorageUnavailable):
        put(storage, "scans/ab/one")


def test_a_store_that_is_away_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{probe.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        with pytest.raises(StorageUnavailable):
            BucketStorage(BUCKET, "", tmp_path).check()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A store that takes every connection and never answers; what each connection said first."""
    asked: list[bytes] = []
    taken: list[socket.socket] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                taken.append(connection)
                asked.append(connection.recv(4096).split(b" ")[0])

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{listening.getsockname()[1]}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "x")
    for config in (bucket._CONFIG, bucket._QUICK):
        monkeypatch.setattr(config, "read_timeout", 0.2)
    thread = threading.Thread(target=take)
    thread.start()
    yield asked
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()
    for connection in taken:
        connection.close()


def test_a_silent_store_is_asked_twice_and_no_more(silent: list[bytes], tmp_path: Path) -> None:
    """Its versions, whether it is there, then a file that is put."""
    storage = BucketStorage(BUCKET, "", tmp_path)
    with pytest.raises(StorageUnavailable):
        storage.check()
    assert silent == [b"GET"] * 2 + [b"HEAD"] * 2
    with pytest.raises(StorageUnavailable):
        put(storage, "scans/ab/one")
    assert silent[4:] == [b"PUT"] * 2


def test_what_a_silent_store_has_is_not_fetched_for_ever(silent: list[bytes], tmp_path: Path) -> None:
    storage = BucketStorage(BUCKET, "", tmp_path)
    with pytest.raises(StorageUnavailable), storage.open("scans/ab/one"):
        pass
    assert len(silent) <= 2 + 2 + 3  # its versions; how large it is, and the file


def test_what_is_asked_before_an_upload_waits_for_less_than_its_bytes() -> None:
    assert bucket._CONFIG.merge(bucket._QUICK).read_timeout < bucket._CONFIG.read_timeout


def test_missing_credentials_are_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageUnavailable):
        BucketStorage(BUCKET, "", tmp_path).check()


def test_a_bucket_with_versions_is_said_in_the_log(
    storage: BucketStorage, server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    try:
        storage.check()
    finally:
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert "keeps old versions" in caplog.text


def test_a_forked_process_has_a_connection_of_its_own(storage: BucketStorage) -> None:
    put(storage, "scans/ab/one", b"data")
    child = os.fork()
    if child == 0:
        try:
            with storage.open("scans/ab/one") as file:
                os._exit(0 if file.read() == b"data" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.exists("scans/ab/one")
