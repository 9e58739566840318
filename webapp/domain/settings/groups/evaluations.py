"""Settings of evaluations: folders, chunks and archives."""

from dataclasses import dataclass
from pathlib import Path

from webapp.domain.settings.parsing import folders, seconds, setting, whole

_MB = 1_000_000


@dataclass(frozen=True)
class Evaluations:
    """Evaluations."""

    evaluation_roots: tuple[Path, ...] = setting(
        "GLIOSCOPE_EVALUATION_ROOTS",
        "{instance}/datasets",
        folders,
        "folders, separated by `:`, below which a data set may be chosen for an evaluation; nothing outside of them is"
        " listed or read, links included. Web and workers must see them under the same paths",
        "`datasets` in the instance folder",
    )
    # Seconds of work, so that workers share even a small evaluation and a crash costs little.
    evaluation_chunk: int = setting(
        "GLIOSCOPE_EVALUATION_CHUNK", "64", whole(), "cases of one task; workers share an evaluation chunk by chunk"
    )
    # Checking or adding up 100,000 files takes minutes.
    evaluation_timeout_s: float = setting(
        "GLIOSCOPE_EVALUATION_TIMEOUT_S",
        "3600",
        seconds,
        "seconds that the check of a data set, or adding up its results, may take; a chunk of cases has"
        " `GLIOSCOPE_JOB_TIMEOUT_S`",
    )
    max_archive_bytes: int = setting(
        "GLIOSCOPE_MAX_ARCHIVE_MB", "2000", whole(times=_MB), "megabytes (10^6 bytes) of an uploaded zip"
    )
    max_archive_files: int = setting("GLIOSCOPE_MAX_ARCHIVE_FILES", "50000", whole(), "members of a zip")
    max_unpacked_bytes: int = setting(
        "GLIOSCOPE_MAX_UNPACKED_MB",
        "8000",
        whole(times=_MB),
        "megabytes that a zip may unpack to; in no case more than 100 times its own size and 100 MB",
    )
