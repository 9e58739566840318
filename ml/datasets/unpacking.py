"""Unpacking an archive in a sandboxed process, under limits of memory, time and file size that the kernel holds."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from ml.datasets.archive import ERROR_CODES, ArchiveError, ArchiveLimits
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Sandbox

_ENTRY = "ml.sandbox.entries.unpack"
_MEMORY_BYTES = 2**29
# Archives come one after the other; a server is 40 MB.
_IDLE_S = 60.0


def unpack_archive(
    archive: Path, folder: Path, limits: ArchiveLimits, timeout_s: float, *, takes_all: bool = False
) -> int:
    """Unpack into an existing empty folder; says how many files. The caller removes the folder where it raises.

    timeout_s: of processor time. takes_all: of `archive.unpack`.

    Raises ArchiveError for what is the archive's fault, OSError for what is the machine's (no room).
    """
    child_limits = ChildLimits.of_one_request(_MEMORY_BYTES, limits.member_bytes + 1, timeout_s)
    request = {
        "archive": str(archive.resolve()),
        "folder": str(folder.resolve()),
        "limits": asdict(limits),
        "takes_all": takes_all,
    }
    try:
        answer = _sandbox(child_limits).run(request, Access.to(reads=[archive], writes=[folder]))
    except ChildDied as death:
        if death.is_timeout:
            limit = death.limit_in_words(timeout_s)
            raise ArchiveError("limit", f"Unpacking takes longer than {limit}; split the archive.") from None
        if death.is_out_of_memory:
            text = "Unpacking needs more memory than there is; try again when more is free, or split the archive."
            raise ArchiveError("limit", text) from None
        raise _broken() from None
    if isinstance(files := answer.get("files"), int):
        return files
    if answer.get("code") in ERROR_CODES:
        raise ArchiveError(answer["code"], str(answer.get("message")))
    raise _broken()


@lru_cache(maxsize=2)
def _sandbox(limits: ChildLimits) -> Sandbox:
    """Of uploads, and of data sets."""
    return Sandbox(_ENTRY, limits, idle_s=_IDLE_S)


def _broken() -> ArchiveError:
    return ArchiveError("unreadable", "The archive breaks its reader, so it is damaged; make it again.")
