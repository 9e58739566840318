"""A series of an archive is an upload: the same door, de-identification, limits and sentences."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from webapp.domain.errors import UploadRejected
from webapp.domain.networks.ledger import Ledger
from webapp.domain.resources import Resources
from webapp.domain.scans.pseudonyms import pseudonym
from webapp.domain.scans.submission import AllRejected, UploadOptions, submit
from webapp.domain.uploads.receiving import UploadedFile

# One request takes four times a file's limit (docs/settings.md).
FILES_IN_ONE = 4


@dataclass(frozen=True)
class Taken:
    """What became of a series: its scans, new or there already, or the code of why it was refused.

    files_refused: of one that was not refused as a whole. is_new: it was not there before.
    """

    scan_ids: tuple[str, ...]
    refused: str | None = None
    files_refused: int = 0
    is_new: bool = False


def study_name(resources: Resources, source: str, study: str) -> str:
    """What a study of an archive is called. study: what tells it from others, and says nothing here."""
    return f"{source} {(pseudonym(resources.settings.secret_key, study) or '')[1:9]}"


def take_series(
    resources: Resources, ledger: Ledger, instances: Sequence[Path], *, study: str, number: int, key: str
) -> Taken:
    """Make scans of a series' files, or find those that it became before.

    study: of `study_name`. number: the series' own. key: names this attempt, so that it may be made again.
    Raises StorageFull, StorageUnavailable, DecoderUnavailable, DatabaseUnavailable, KeyInUse, OSError.
    """
    digest = ledger.digest(resources, instances)
    known = ledger.known(resources, instances, digest)
    if known is not None:
        return Taken(tuple(known))
    try:
        _check_size(resources, instances)
        with ExitStack() as stack:
            files = [
                UploadedFile(f"{study} series {number}/{place:04d}.dcm", stack.enter_context(path.open("rb")))
                for place, path in enumerate(instances, start=1)
            ]
            submitted = submit(resources, files, UploadOptions(study=study), key)
    except (AllRejected, UploadRejected) as error:
        return Taken((), error.code)
    ledger.note(digest, submitted.scan_ids)
    return Taken(submitted.scan_ids, None, len(submitted.rejected), is_new=True)


def _check_size(resources: Resources, instances: Sequence[Path]) -> None:
    if sum(path.stat().st_size for path in instances) > FILES_IN_ONE * resources.settings.max_upload_bytes:
        raise UploadRejected("too_large", "The series is larger than four times GLIOSCOPE_MAX_UPLOAD_MB.")
