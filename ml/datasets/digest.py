"""One number for a whole data set: SHA-256 over the names and the contents of its files.

For each case, by image path: the path below the folder, the SHA-256 of the image's bytes, then path and SHA-256 of the
mask, or the polygons and run-length masks as JSON. Each of them ends with a line break. Other files (a README) do not
count.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.file_checks import FileCheck
from ml.datasets.volume_slices import VolumeSlice, sha256_of_image


def digest_of(folder: Path, cases: Sequence[Case], file_checks: Sequence[FileCheck] | None = None) -> str:
    """Hexadecimal digest of the cases. file_checks: of the same cases, so that their files are not read again.

    Raises DatasetError where a file cannot be read.
    """
    digest = hashlib.sha256()
    known = file_checks or [FileCheck()] * len(cases)
    for case, check in sorted(zip(cases, known, strict=True), key=lambda pair: pair[0].image):
        _add(digest, folder, case.image, check.image_sha256, case.volume)
        if case.mask is not None:
            _add(digest, folder, case.mask, check.mask_sha256)
        elif case.outlines is not None:
            digest.update(json.dumps(case.outlines).encode() + b"\n")
            if case.runs:
                digest.update(json.dumps(case.runs).encode() + b"\n")
    return digest.hexdigest()


def _add(
    digest: "hashlib._Hash", folder: Path, path: Path, sha256: str | None, volume: VolumeSlice | None = None
) -> None:
    try:
        if sha256 is None:
            sha256 = sha256_of_image(path, volume)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); replace or remove it.") from error
    digest.update(f"{path.relative_to(folder).as_posix()}\n{sha256}\n".encode(errors="surrogateescape"))
