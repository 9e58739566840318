"""The spool: studies on their way, each in a folder, on the node's own disk.

    incoming/KEY/          a study of one peer and one patient that is arriving
        study.json         who sent it, and whose it is (mode 0600) where results go back
        open-ID            an association that is sending into it; `broken-ID`: one that ended without saying so
        SERIES/INSTANCE    instances, under digests of their UIDs: one that comes again takes its own place
    studies/ID/            a complete one, with what has been done of it (`worker.dicom_node.studies`)
    tmp/                   instances in the middle of their arrival

An instance is on the disk before its sender is told so. A study is whole when it was quiet for a while and no
association broke off in it; a broken one waits for its sender to try again.
"""

import fcntl
import hashlib
import hmac
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.atomic_files import fresh_file, sync
from webapp.domain.database.orm import new_id
from worker.dicom_node.header import Header

# Room on the disk that is left to others.
SPARE_BYTES = 256 * 1_048_576
# An instance that has been arriving for longer belongs to an association that is gone.
STALE_S = 600.0


class SpoolFull(Exception):
    """There is no room for another instance or study."""


class SpoolInUse(Exception):
    """Another node has the spool."""


@dataclass(frozen=True)
class Arriving:
    """A study in `incoming`."""

    key: str
    peer: str
    is_broken: bool


class Spool:
    """Used by the threads of the associations and by the node's own rounds."""

    def __init__(self, folder: Path, *, most_bytes: int, most_studies: int, secret: str, keeps_identity: bool) -> None:
        """Open or make it; what a killed process left is taken up. Raises SpoolInUse, OSError."""
        self._folder = folder
        self.incoming, self.studies, self.temporary = (folder / name for name in ("incoming", "studies", "tmp"))
        for path in (folder, self.incoming, self.studies, self.temporary):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._most_bytes, self._most_studies, self._keeps_identity = most_bytes, most_studies, keeps_identity
        self._secret = secret.encode()
        self._lock = threading.Lock()
        self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise SpoolInUse from error
        self._recover()
        self._bytes = _bytes_of(folder)
        self._arrived = {path.name: time.monotonic() for path in self.incoming.iterdir()}

    def close(self) -> None:
        """Let another node have it."""
        os.close(self._handle)

    @property
    def bytes(self) -> int:
        """Of instances in it."""
        return self._bytes

    def key_of(self, peer: str, header: Header) -> str:
        """The folder of a study: one for each sender, study and patient, so that two patients are never one study.

        Of a keyed digest: log and status name it.
        """
        said = "\n".join([peer, header.study_uid, header.identity.get("PatientID", "")])
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()[:24]

    @staticmethod
    def instance_name(sop_uid: str) -> str:
        """What the file of an instance is called."""
        return f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:24]}.dcm"

    def instances_of(self, peer: str) -> set[str]:
        """The names of all instances of a peer that are in the spool."""
        found: set[str] = set()
        with self._lock:
            for study in (*self.incoming.iterdir(), *self.studies.iterdir()):
                if read_json(study / "study.json").get("peer") == peer:
                    found.update(path.name for path in study.glob("*/*.dcm") if not path.parent.name.startswith("out"))
        return found

    def store(self, association: str, peer: str, header: Header, source: Path) -> str:
        """Take a finished temporary file in; the key of its study. Raises SpoolFull, OSError."""
        key, size = self.key_of(peer, header), source.stat().st_size
        sync(source)
        with self._lock:
            study = self.incoming / key
            self._check_room(study, size)
            study.mkdir(mode=0o700, exist_ok=True)
            if not (study / "study.json").exists():
                self._describe(study, peer, header)
            self._mark(study, association)
            digest = hashlib.sha256(header.series_uid.encode()).hexdigest()[:16]
            series = study / f"{header.series_number:05d}-{digest}"
            series.mkdir(mode=0o700, exist_ok=True)
            target = series / self.instance_name(header.sop_uid)
            before = target.stat().st_size if target.exists() else 0
            source.replace(target)
            for path in (series, study, self.incoming):
                sync(path)
            self._bytes += size - before
            self._arrived[key] = time.monotonic()
        return key

    def dead_marks(self, key: str) -> tuple[str, ...]:
        """Marks of associations that broke off in a study before now: what a whole new attempt may take away."""
        return tuple(path.name for path in (self.incoming / key).glob("broken-*"))

    def end(self, association: str, keys: dict[str, tuple[str, ...]], *, is_whole: bool) -> None:
        """An association has ended. keys: its studies, with their dead marks when it first touched them.

        is_whole: it ended by release, and every instance was taken.
        """
        with self._lock:
            for key, dead in keys.items():
                own = self.incoming / key / f"open-{association}"
                if not own.exists():  # handed on meanwhile
                    continue
                if not is_whole:
                    own.rename(own.with_name(f"broken-{association}"))
                    continue
                own.unlink()
                for name in dead:
                    own.with_name(name).unlink(missing_ok=True)
                self._arrived[key] = time.monotonic()

    def arriving(self) -> list[Arriving]:
        """The studies in `incoming`."""
        with self._lock:
            found = []
            for path in sorted(self.incoming.iterdir()):
                self._arrived.setdefault(path.name, time.monotonic())
                peer = str(read_json(path / "study.json").get("peer", ""))
                found.append(Arriving(path.name, peer, any(path.glob("broken-*"))))
            return found

    def hand_on(self, key: str, quiet_s: float) -> bool:
        """Move a study to `studies`, in one step, if it is still complete."""
        with self._lock:
            is_quiet = time.monotonic() - self._arrived.get(key, 0.0) >= quiet_s
            if not is_quiet or any((self.incoming / key).glob("broken-*")):
                return False
            target = self.studies / new_id()
            (self.incoming / key).rename(target)
            sync(self.incoming)
            sync(self.studies)
            self._arrived.pop(key, None)
            for mark in target.glob("open-*"):
                mark.unlink()
            return True

    def drop(self, key: str, quiet_s: float) -> bool:
        """Remove a study of `incoming`, if nothing came of it meanwhile."""
        with self._lock:
            if time.monotonic() - self._arrived.get(key, 0.0) < quiet_s:
                return False
            self._remove(self.incoming / key)
            return True

    def complete(self) -> Iterator[Path]:
        """The folders of complete studies, the oldest first."""
        yield from sorted(self.studies.iterdir(), key=lambda path: path.stat().st_ctime)

    def remove(self, folder: Path) -> None:
        """Remove a study, or one of its series, whoever's names are in it."""
        with self._lock:
            self._remove(folder)

    def remove_stale(self) -> None:
        """Remove instances that broke off in the middle of their arrival."""
        for path in self.temporary.iterdir():
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink(missing_ok=True)

    def _remove(self, folder: Path) -> None:
        self._bytes -= _bytes_of(folder)
        shutil.rmtree(folder)
        self._arrived.pop(folder.name, None)

    def _check_room(self, study: Path, size: int) -> None:
        if self._bytes + size > self._most_bytes:
            raise SpoolFull("GLIOSCOPE_DICOM_SPOOL_MB")
        if shutil.disk_usage(self._folder).free < SPARE_BYTES:
            raise SpoolFull("the disk")
        if not study.exists():
            count = sum(1 for folder in (self.incoming, self.studies) for _ in folder.iterdir())
            if count >= self._most_studies:
                raise SpoolFull("GLIOSCOPE_DICOM_STUDIES")

    def _describe(self, study: Path, peer: str, header: Header) -> None:
        """Who sent it; and whose it is, only where results go back. The instances' own headers say it anyway."""
        said: dict[str, Any] = {"key": study.name, "peer": peer, "since": time.time()}
        if self._keeps_identity:
            said["identity"] = header.identity
        write_json(study / "study.json", said)

    def _mark(self, study: Path, association: str) -> None:
        mark = study / f"open-{association}"
        if not mark.exists():
            mark.touch(mode=0o600)

    def _recover(self) -> None:
        for mark in self.incoming.glob("*/open-*"):
            mark.rename(mark.with_name(f"broken-{mark.name.removeprefix('open-')}"))
        for path in self.temporary.iterdir():
            path.unlink()


def _bytes_of(folder: Path) -> int:
    """Of instances; results on their way out do not count."""
    return sum(path.stat().st_size for path in folder.rglob("*.dcm") if not path.parent.name.startswith("out"))


def read_json(path: Path) -> dict[str, Any]:
    """What was written down; empty where nothing was, or a disk has damaged it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    except (FileNotFoundError, ValueError):
        return {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write it down, whole or not at all, for this user alone. Raises OSError."""
    with fresh_file(path) as partial:
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(value), encoding="utf-8")
