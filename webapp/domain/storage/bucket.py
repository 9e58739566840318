"""A bucket of an S3-compatible object store as the store of bytes, through boto3, which finds endpoint and credentials.

An object is written whole or not at all, under a key that is written once; so what was fetched stays true, and each
process keeps some of it. What it keeps has no name on the disk: it is gone with the process.
"""

import errno
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from s3transfer.exceptions import RetriesExceededError

from webapp.domain.errors import StorageFull, StorageUnavailable
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import KEY
from webapp.domain.storage.temporary import TemporaryFiles

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

# Four tries of a request, with growing pauses: what a busy store refuses passes, and a dead one is soon said.
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
    # Stores other than Amazon's do not all know the newer checksums.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
# What is asked before an upload is accepted carries no bytes: a store that is silent so long has none of its time.
_QUICK = Config(read_timeout=5)
# A connection that a firewall has dropped is silent, too, and the next one is not; one more silence is the store's.
_SILENT_TRIES = 2
# In one piece up to this size, and without threads of the library's own. A body that is cut is fetched again.
_TRANSFER = TransferConfig(
    multipart_threshold=64 * 1_048_576, multipart_chunksize=32 * 1_048_576, use_threads=False, num_download_attempts=3
)
# Repeated by `_TRANSFER` itself.
_FETCHES = frozenset({"GetObject"})
_NOT_FOUND = frozenset({"404", "NoSuchKey", "NotFound"})
_FULL = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
_MOST_AT_ONCE = 1_000  # keys of one DeleteObjects

# What a process keeps of fetched objects, and for how long after their last use.
KEPT_BYTES = 512 * 1_048_576
KEPT_S = 600.0


class BucketStorage:
    """Objects below a prefix of a bucket.

    Versioning must be off: it would keep what is deleted (the log says where it is on).
    """

    def __init__(self, bucket: str, prefix: str, temporary: Path, kept_bytes: int = KEPT_BYTES) -> None:
        """prefix: without slashes at its ends, may be empty. temporary: a folder of this machine."""
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._temporary = TemporaryFiles(temporary)
        self._kept = _KeptFiles(kept_bytes)
        self._clients: dict[int, _Clients] = {}
        self._lock = threading.Lock()

    def temporary_file(self) -> Path:
        return self._temporary.make()

    def put(self, source: Path, key: str, *, is_last: bool = True) -> None:
        name = self._name(key)
        with _translated(key), source.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, name, Config=_TRANSFER)
        source.unlink(missing_ok=True)

    def open(self, key: str) -> BinaryIO:
        with self.local_copy(key) as path:
            return path.open("rb")

    def exists(self, key: str) -> bool:
        try:
            with _translated(key):
                self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        name = self._name(key)
        file = self._kept.take(key) or self._kept.add(key, self._fetched(name, key))
        try:
            yield file.path
        finally:
            self._kept.give_back(file)

    def delete(self, key: str) -> None:
        name = self._name(key)
        self._kept.forget(key)
        with _translated(key):
            below = [item["Key"] for page in self._pages(f"{name}/") for item in page.get("Contents", ())]
            for start in range(0, len(below), _MOST_AT_ONCE):
                part = below[start : start + _MOST_AT_ONCE]
                answer = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": item} for item in part], "Quiet": True}
                )
                if answer.get("Errors"):
                    logger.warning("the object store did not delete: %s", answer["Errors"][0].get("Code"))
                    raise StorageUnavailable("The storage cannot delete right now; try again later.")
            self._client.delete_object(Bucket=self._bucket, Key=name)

    def keys(self, older_than_s: float, below: str = "") -> Iterator[str]:
        with _translated(""):
            for page in self._pages(self._prefix + (below and f"{below}/")):
                # The store's own clock, by which it dates its objects.
                date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
                now = parsedate_to_datetime(date).timestamp() if date else time.time()
                for item in page.get("Contents", ()):
                    if item["LastModified"].timestamp() <= now - older_than_s:
                        yield item["Key"].removeprefix(self._prefix)

    def delete_temporary(self, older_than_s: float) -> int:
        return self._temporary.delete(older_than_s)

    def check(self, needed_bytes: int = 0) -> None:
        self._temporary.check(needed_bytes)
        try:
            with _translated(""):
                self._own_clients.quick.head_bucket(Bucket=self._bucket)
        except FileNotFoundError as error:
            raise StorageUnavailable("The storage's bucket does not exist; make it, or name another one.") from error

    def close(self) -> None:
        self._kept.clear()

    @property
    def _client(self) -> "S3Client":
        return self._own_clients.patient

    @property
    def _own_clients(self) -> "_Clients":
        """This process's own: connections must not be shared with a process that forked."""
        with self._lock:
            if os.getpid() not in self._clients:
                self._clients = {os.getpid(): _Clients(_connect(_CONFIG), _connect(_CONFIG.merge(_QUICK)))}
                self._warn_of_versions(self._clients[os.getpid()].quick)
            return self._clients[os.getpid()]

    def _warn_of_versions(self, client: "S3Client") -> None:
        try:
            is_on = client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled"
        except (BotoCoreError, ClientError):  # not allowed to ask, or not at hand: the call that follows says so
            return
        if is_on:
            logger.warning("the storage's bucket keeps old versions: what is deleted stays in it; switch that off")

    def _name(self, key: str) -> str:
        if not KEY.fullmatch(key):
            raise ValueError(f"not a storage key: {key!r}")
        return f"{self._prefix}{key}"

    def _pages(self, prefix: str) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)  # type: ignore[misc]

    def _fetched(self, name: str, key: str) -> "_File":
        """The object's bytes in a file that has no name any more. Raises FileNotFoundError and the storage's errors."""
        path = self._temporary.make()
        try:
            with _translated(key), path.open("wb") as target:
                self._client.download_fileobj(self._bucket, name, target, Config=_TRANSFER)
            return _File(os.open(path, os.O_RDONLY), path.stat().st_size)
        finally:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Clients:
    """patient: for bytes; quick: for what carries none."""

    patient: "S3Client"
    quick: "S3Client"


def _connect(config: Config) -> "S3Client":
    client: S3Client = boto3.client("s3", config=config)
    # The first answer that is not None counts; the stubs know of hooks that answer nothing alone.
    client.meta.events.register_first("needs-retry.s3", _ends_silence)  # type: ignore[arg-type]
    return client


def _ends_silence(
    attempts: int, operation: "OperationModel", caught_exception: Exception | None, **_other: object
) -> bool | None:
    """False where a request that nobody answered is not sent again; None where botocore decides."""
    tries = 1 if operation.name in _FETCHES else _SILENT_TRIES
    return False if isinstance(caught_exception, ReadTimeoutError) and attempts >= tries else None


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Turn boto3's errors into FileNotFoundError for the key, StorageFull and StorageUnavailable."""
    try:
        with translated_errors():
            yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_FOUND:
            raise FileNotFoundError(errno.ENOENT, "nothing is stored under the key", key) from error
        logger.warning("the object store refused %s: %s", error.operation_name, code)
        if code in _FULL:
            raise StorageFull("The storage has no room left; delete scans or make the bucket larger.") from error
        raise StorageUnavailable("The storage cannot be used right now; try again later.") from error
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        logger.warning("the object store does not answer: %s", type(error).__name__)
        raise StorageUnavailable("The storage cannot be used right now; try again later.") from error


@dataclass(eq=False)
class _File:
    """An open file without a name. users: who reads it now; is_kept: whether somebody may come back for it."""

    handle: int
    size: int
    users: int = 0
    is_kept: bool = True
    used_at: float = 0.0

    @property
    def path(self) -> Path:
        """By which it can be opened again while it is in use."""
        return Path(f"/proc/self/fd/{self.handle}")


class _KeptFiles:
    """Fetched objects by key, the least recently used first to go; thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> _File | None:
        """The key's file, to be given back; None where it is not kept."""
        with self._lock:
            self._drop_old()
            return self._taken(key, self._files[key]) if key in self._files else None

    def add(self, key: str, file: _File) -> _File:
        """Keep a file, which is in use by the caller, in place of an older one of the key."""
        with self._lock:
            if key in self._files:
                self._drop(key)
            return self._taken(key, file)

    def give_back(self, file: _File) -> None:
        """The end of one use."""
        with self._lock:
            file.users -= 1
            if not file.users and not file.is_kept:
                os.close(file.handle)
            self._drop_old()

    def forget(self, key: str) -> None:
        """Drop the key and all below it."""
        with self._lock:
            for found in [item for item in self._files if item == key or item.startswith(f"{key}/")]:
                self._drop(found)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            for key in list(self._files):
                self._drop(key)

    def _taken(self, key: str, file: _File) -> _File:
        file.users += 1
        file.used_at = time.monotonic()
        self._files[key] = file
        self._files.move_to_end(key)
        return file

    def _drop_old(self) -> None:
        latest = time.monotonic() - KEPT_S
        kept_bytes = sum(file.size for file in self._files.values())
        for key, file in list(self._files.items()):
            if file.used_at > latest and kept_bytes <= self._most_bytes:
                return
            kept_bytes -= file.size
            self._drop(key)

    def _drop(self, key: str) -> None:
        file = self._files.pop(key)
        file.is_kept = False
        if not file.users:
            os.close(file.handle)
