"""Make an export in a sandboxed process. Importing this module loads neither pydicom nor highdicom."""

from contextlib import closing
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
_TIMEOUT_S = 60.0
_CODES = ("unreadable", "no_series")


class ExportError(Exception):
    """An object that cannot be made of this scan: a code and one safe sentence.

    `no_series`: what is stored is no series of images that an object could refer to. `unreadable`: it cannot be read.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def make_export(kind: Kind, original: Path, mask: Path, target: Path, facts: Facts) -> None:
    """Write the object to `target`, an existing file.

    original: of the scan, as stored. mask: .npy, uint8 (slice, row, column), 0 or 1, on the series' own voxels, slices
    in the order of their places. Raises ExportError, and OSError for what is the machine's fault.
    """
    limits = ChildLimits.of_one_request(_MEMORY_BYTES, _LARGEST_BYTES, _TIMEOUT_S)
    request = {
        "kind": kind.value,
        "original": str(original.resolve()),
        "mask": str(mask.resolve()),
        "target": str(target.resolve()),
        "facts": asdict(facts),
    }
    try:
        # Started for this one: a server with these libraries keeps 200 MB, and exports are rare.
        with closing(Sandbox(_ENTRY, limits, children=1)) as sandbox:
            answer = sandbox.run(request, Access.to(reads=[original, mask], writes=[target]))
    except ChildDied as death:
        reason = "takes longer than its limit" if death.is_timeout else "stopped its process"
        raise ExportError("unreadable", f"Writing the object {reason}; download the NIfTI instead.") from None
    if (code := answer.get("code")) in _CODES:
        raise ExportError(code, str(answer.get("message")))
    if answer != {"written": True}:
        raise ExportError("unreadable", "Writing the object broke its process; download the NIfTI instead.")
