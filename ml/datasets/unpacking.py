"""Unpacking an archive in a process of its own, under limits of memory, time and file size that the kernel holds.

`python -m ml.datasets.unpacking ARCHIVE FOLDER LIMITS_JSON` is that process; `unpack_archive` starts it.
"""

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack

_PROJECT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
_MEMORY_BYTES = 2**29
_MAX_ANSWER_BYTES = 64 * 1024
_ERROR_CODES = ("unsupported", "unreadable", "unsafe", "limit", "empty")


def unpack_archive(archive: Path, folder: Path, limits: ArchiveLimits, timeout_s: float) -> int:
    """Unpack into an existing empty folder; says how many files. The caller removes the folder where it raises.

    Raises ArchiveError for what is the archive's fault, OSError for what is the machine's (no room).
    """
    command = (sys.executable, "-m", "ml.datasets.unpacking", str(archive), str(folder), json.dumps(asdict(limits)))
    try:
        done = subprocess.run(
            command,
            cwd=_PROJECT,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ArchiveError("limit", f"Unpacking takes longer than {timeout_s:g} s; split the archive.") from error
    try:
        answer = json.loads(done.stdout[:_MAX_ANSWER_BYTES])
    except ValueError:
        answer = {}
    if isinstance(number := answer.get("errno"), int):
        raise OSError(number, f"The archive cannot be unpacked: {os.strerror(number)}")
    if isinstance(files := answer.get("files"), int):
        return files
    if answer.get("code") in _ERROR_CODES:
        raise ArchiveError(answer["code"], str(answer.get("message")))
    raise ArchiveError("unreadable", "The archive breaks its reader, so it is damaged; make it again.")


def main(arguments: list[str]) -> None:
    """Unpack, and answer in one line."""
    archive, folder, limits = Path(arguments[0]), Path(arguments[1]), ArchiveLimits(**json.loads(arguments[2]))
    _restrict(limits)
    try:
        answer: dict[str, object] = {"files": unpack(archive, folder, limits)}
    except ArchiveError as error:
        answer = {"code": error.code, "message": error.message}
    except MemoryError:
        answer = {"code": "limit", "message": "Reading the archive's list needs too much memory; split it."}
    except OSError as error:
        answer = {"errno": error.errno or errno.EIO}
    except Exception:  # noqa: BLE001 - this process is the sandbox of the archive's bytes
        answer = {"code": "unreadable", "message": "The archive is damaged; make it again."}
    sys.stdout.write(json.dumps(answer))


def _restrict(limits: ArchiveLimits) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.member_bytes + 1),
    ):
        _, ceiling = resource.getrlimit(kind)
        limit = limit if ceiling == resource.RLIM_INFINITY else min(limit, ceiling)
        with contextlib.suppress(ValueError):
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
