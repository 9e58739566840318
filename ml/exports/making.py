"""Make exports of a run in one sandboxed child. Importing this module loads neither pydicom nor highdicom."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ml.exports.facts import Facts, Kind
from ml.sandbox.child import ChildLimits
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Sandbox

_ENTRY = "ml.sandbox.entries.export"
# Series, mask and object are in memory together: 1,024 slices of 256 x 256 take 0.6 GB, libraries included.
_MEMORY_BYTES = 3 * 2**30
_LARGEST_BYTES = 2**30
_TIMEOUT_S = 60.0  # of processor time
# Loading the libraries takes most of an export's time, and 70 MB while they are loaded: mask, report and outlines of a
# run, and the series of a study, are asked for one after the other.
_IDLE_S = 60.0
SANDBOX = Sandbox(
    _ENTRY,
    ChildLimits.of_one_request(_MEMORY_BYTES, _LARGEST_BYTES, _TIMEOUT_S),
    children=2,
    idle_s=_IDLE_S,
)
_CODES = ("unreadable", "no_series")


class ExportError(Exception):
    """An object that cannot be made of this scan: a code and one safe sentence.

    `no_series`: what is stored is no series of images that an object could refer to. `unreadable`: it cannot be read.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def make_exports(targets: Mapping[Kind, Path], original: Path, mask: Path, facts: Facts) -> None:
    """Write objects of a run to their files, which exist. Where one cannot be made, none is whole.

    original: of the scan, as stored. mask: .npy, uint8 (slice, row, column), 0 or 1, on the series' own voxels, slices
    in the order of their places. Raises ExportError, and OSError for what is the machine's fault.
    """
    request = {
        "original": str(original.resolve()),
        "mask": str(mask.resolve()),
        "targets": {kind.value: str(path.resolve()) for kind, path in targets.items()},
        "facts": asdict(facts),
    }
    try:
        answer = SANDBOX.run(request, Access.to(reads=[original, mask], writes=targets.values()))
    except ChildDied as death:
        reason = "takes longer than its limit" if death.is_timeout else "stopped its process"
        raise ExportError("unreadable", f"Writing the object {reason}; download the NIfTI instead.") from None
    if (code := answer.get("code")) in _CODES:
        raise ExportError(code, str(answer.get("message")))
    if answer != {"written": True}:
        raise ExportError("unreadable", "Writing the object broke its process; download the NIfTI instead.")
