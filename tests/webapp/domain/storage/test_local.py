"""The folder store: own keys, whole files or none, and the operating system's errors in words."""

import errno
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from webapp.domain.errors import DataLost, StorageFull, StorageUnavailable
from webapp.domain.storage.arrays import read_array, read_group, write_array
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.storage.local import LocalStorage
from webapp.domain.storage.place import open_storage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


def files(storage: LocalStorage) -> list[str]:
    return sorted(path.relative_to(storage.root).as_posix() for path in storage.root.rglob("*") if path.is_file())


def put(storage: LocalStorage, key: str, data: bytes = b"x") -> None:
    source = storage.temporary_file()
    source.write_bytes(data)
    storage.put(source, key)


@pytest.mark.parametrize("key", ["../x", "/x", "a/../b", "a//b", "", "A", "a b", ".x", "a/", "a\0", "ü", "a/.", "a\n"])
def test_a_key_that_is_not_ours_is_refused(storage: LocalStorage, key: str) -> None:
    for call in (storage.open, storage.exists, storage.delete):
        with pytest.raises(ValueError, match="not a storage key"):
            call(key)


def test_a_put_file_is_there_whole_and_its_temporary_one_is_gone(storage: LocalStorage) -> None:
    put(storage, "scans/ab/one", b"data")
    with storage.open("scans/ab/one") as file, storage.local_copy("scans/ab/one") as path:
        assert file.read() == path.read_bytes() == b"data"
    assert storage.exists("scans/ab/one") and not storage.exists("scans/ab") and not storage.exists("scans/ab/two")
    assert files(storage) == ["objects/scans/ab/one"]
    assert list(storage.keys(0)) == ["scans/ab/one"] and list(storage.keys(3600)) == []


def test_what_is_not_stored_is_not_found(storage: LocalStorage) -> None:
    put(storage, "scans/ab/another")
    with pytest.raises(FileNotFoundError):
        storage.open("scans/ab/one")
    with pytest.raises(FileNotFoundError), storage.local_copy("scans/ab/one"):
        pass


def test_deleting_removes_a_key_or_all_below_it_and_the_empty_folders(storage: LocalStorage) -> None:
    for key in ("scans/ab/one/a", "scans/ab/one/b", "scans/cd/two/a"):
        put(storage, key)
    storage.delete("scans/ab/one")
    storage.delete("scans/ab/one")
    assert files(storage) == ["objects/scans/cd/two/a"]
    assert not (storage.root / "objects/scans/ab").exists()


def test_folders_are_closed_to_other_accounts(storage: LocalStorage) -> None:
    put(storage, "scans/ab/one")
    for path in (storage.root / "temporary", (storage.root / "objects" / "scans/ab")):
        assert path.stat().st_mode & 0o077 == 0
    assert (storage.root / "objects" / "scans/ab/one").stat().st_mode & 0o077 == 0


def test_storing_beside_a_delete_that_prunes_the_same_folder(storage: LocalStorage) -> None:
    errors: list[Exception] = []

    def turn(name: str) -> None:
        try:
            for _ in range(300):
                put(storage, f"scans/ab/{name}/original")
                storage.delete(f"scans/ab/{name}")
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            errors.append(error)

    threads = [threading.Thread(target=turn, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_folder_that_is_pruned_while_it_is_made_is_made_again(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_gone_by_now(path: Path) -> bool:
        monkeypatch.undo()
        path.rmdir()
        return False

    source = storage.temporary_file()
    (storage.root / "objects" / "scans/ab").mkdir(parents=True)
    # `mkdir` found it, and looks whether it is a folder: just then a delete prunes it.
    monkeypatch.setattr(Path, "is_dir", is_gone_by_now)
    storage.put(source, "scans/ab/original")
    assert (storage.root / "objects" / "scans/ab/original").is_file()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_storage_full(number: int) -> None:
    with pytest.raises(StorageFull), translated_errors():
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ESTALE])
def test_another_fault_is_storage_unavailable(number: int) -> None:
    with pytest.raises(StorageUnavailable), translated_errors():
        raise OSError(number, os.strerror(number))


def test_a_failed_write_leaves_nothing(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file, array, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageFull):
        write_array(storage, "scans/ab/map.npy", np.zeros((1, 2, 2), np.uint8))
    assert files(storage) == []


def test_an_array_comes_back_mapped(storage: LocalStorage) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_array(storage, "scans/ab/map.npy", array)
    back = read_array(storage, "scans/ab/map.npy")
    assert isinstance(back, np.memmap) and np.array_equal(back, array)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"no array", None], ids=["empty", "cut", "other", "missing"])
def test_a_damaged_array_is_lost(storage: LocalStorage, data: bytes | None) -> None:
    put(storage, "scans/ab/another.npy")
    if data is not None:
        put(storage, "scans/ab/map.npy", data)
    with pytest.raises(DataLost, match="missing or damaged"):
        read_array(storage, "scans/ab/map.npy")
    with pytest.raises(DataLost, match="missing or damaged"):
        read_group(storage, "scans/ab/map.npy", ["q0"])


def test_an_array_that_cannot_be_read_right_now_is_not_lost(storage: LocalStorage, monkeypatch) -> None:
    def stale(_storage: LocalStorage, _key: str) -> None:
        raise OSError(errno.ESTALE, "stale file handle")

    monkeypatch.setattr(LocalStorage, "local_copy", stale)
    monkeypatch.setattr(LocalStorage, "open", stale)
    for read in (lambda: read_array(storage, "x"), lambda: read_group(storage, "x", ["q0"])):
        with pytest.raises(StorageUnavailable) as caught:
            read()
        assert not isinstance(caught.value, DataLost)


def test_pickled_objects_are_never_loaded(storage: LocalStorage) -> None:
    path = storage.temporary_file()
    with path.open("wb") as file:
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    storage.put(path, "scans/ab/map.npy")
    with pytest.raises(StorageUnavailable):
        read_array(storage, "scans/ab/map.npy")


def test_room_is_checked_before_a_write(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 0, RESERVE_BYTES + 99))
    storage.check(99)
    with pytest.raises(StorageFull, match="no room left"):
        storage.check(100)


def test_a_store_that_is_gone_is_not_made_anew(storage: LocalStorage, tmp_path: Path) -> None:
    """As of a network file system that is not mounted any more: what was written then would lie below it, unseen."""
    source = storage.temporary_file()
    storage.put(source, "scans/ab/one")
    left = storage.temporary_file()
    storage.root.rename(tmp_path / "away")
    storage.root.mkdir()  # the place where it was mounted
    calls = [
        storage.temporary_file, storage.check, lambda: storage.put(left, "scans/ab/one"),
        lambda: storage.exists("scans/ab/one"), lambda: storage.open("scans/ab/one"),
        storage.local_copy("scans/ab/one").__enter__,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StorageUnavailable, match="mount"):
            call()
    assert list(storage.root.iterdir()) == []
    storage.root.rmdir()
    (tmp_path / "away").rename(storage.root)
    storage.check()
    assert storage.exists("scans/ab/one")


def test_its_folder_of_temporary_files_may_go(storage: LocalStorage) -> None:
    storage.put(storage.temporary_file(), "scans/ab/one")
    shutil.rmtree(storage.root / "temporary")
    assert storage.temporary_file().is_file()


def test_a_store_that_is_read_only_is_unavailable(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageUnavailable):
        storage.check()


def test_a_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for call in (LocalStorage(tmp_path / "file").check, LocalStorage(tmp_path / "file").temporary_file):
        with pytest.raises(StorageUnavailable):
            call()


def test_what_crashed_writers_left_is_removed_by_age(storage: LocalStorage) -> None:
    old, new = storage.temporary_file(), storage.temporary_file()
    os.utime(old, (1, 1))
    assert storage.delete_temporary(3600) == 1
    assert not old.exists() and new.exists()


def test_two_files_of_one_folder_wait_once_for_its_names(storage: LocalStorage, monkeypatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("webapp.domain.storage.local.sync", synced.append)
    sources = [storage.temporary_file(), storage.temporary_file()]
    storage.put(sources[0], "scans/ab/one", is_last=False)
    storage.put(sources[1], "scans/ab/two")
    assert synced == [*sources, storage.root / "objects" / "scans" / "ab"]


def test_what_is_read_of_a_store_that_is_away_is_not_lost_to_a_process_that_never_saw_it(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="mount or restore"):
        LocalStorage(tmp_path / "away").open("scans/ab/one")
    with pytest.raises(StorageUnavailable), LocalStorage(tmp_path / "away").local_copy("scans/ab/one"):
        pass
    assert not (tmp_path / "away").exists()
    (tmp_path / "here" / "objects").mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        LocalStorage(tmp_path / "here").open("scans/ab/one")


def test_a_process_that_starts_while_the_store_is_away_knows_that_it_was_there(tmp_path: Path) -> None:
    """A portal of `make run` that is started anew before its file system is mounted."""
    instance, mounted = tmp_path / "instance", tmp_path / "mnt" / "scans"
    instance.mkdir()
    put(open_storage(str(mounted), instance), "scans/ab/one")
    mounted.rename(tmp_path / "away")
    store = open_storage(str(mounted), instance)
    for call in (store.check, store.temporary_file):
        with pytest.raises(StorageUnavailable, match="mount"):
            call()
    assert not mounted.exists()
    (mounted / "objects").mkdir(parents=True)  # as the sentence says, where it shall begin anew
    store.check()
    # Of another folder nothing is known, and one inside the instance is away with it.
    open_storage(str(tmp_path / "other"), instance).check()
    open_storage(str(tmp_path / "second" / "storage"), tmp_path / "second").check()
    assert [path.name for path in (tmp_path / "second").iterdir()] == ["storage"]
