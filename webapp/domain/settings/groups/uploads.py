"""Settings of uploads: their limits."""

from dataclasses import dataclass

from webapp.domain.settings.parsing import seconds, setting, whole

_MB = 1_000_000
_MIB = 1_048_576


@dataclass(frozen=True)
class Uploads:
    """Limits of an upload."""

    max_upload_bytes: int = setting(
        "GLIOSCOPE_MAX_UPLOAD_MB",
        "100",
        whole(times=_MB),
        "megabytes (10^6 bytes) of one file; one request takes four times as much in all its files",
    )
    max_files_per_upload: int = setting(
        "GLIOSCOPE_MAX_FILES",
        "100",
        whole(),
        "files in one request, and as many experts' masks; where files become stacks (`group`), as many as"
        " `GLIOSCOPE_MAX_SLICES` says, if that is more",
    )
    max_slices: int = setting("GLIOSCOPE_MAX_SLICES", "512", whole(), "slices (pages) of one scan")
    decode_timeout_s: float = setting(
        "GLIOSCOPE_DECODE_TIMEOUT_S",
        "10",
        seconds,
        "processor seconds for decoding one file, or each hundred of a series, so that a busy machine refuses none; it"
        " ends after twelve times as long by the clock in any case",
    )
    decode_memory_bytes: int = setting(
        "GLIOSCOPE_DECODE_MEMORY_MB",
        "1024",
        whole(times=_MIB),
        "address space, in MiB, of the process that decodes one file",
    )
