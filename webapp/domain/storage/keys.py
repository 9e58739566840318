"""Storage keys: relative paths of safe characters, made by us. Nothing of a client's names ever stands in one."""

import re

KEY = re.compile(r"[a-z0-9]+(?:[/._-][a-z0-9]+)*")

# The keys that the functions below make, and names of `storage.folders`: only what has such a form may ever be removed
# as left over. `owner`: the id of the scan or evaluation that it belongs to.
_ID = "[0-9a-f]{32}"
SCAN_FILE = re.compile(
    rf"scans/[0-9a-f]{{2}}/(?P<owner>{_ID})/(original|stack\.npy|truth\.{_ID}(\.own)?\.npy|{_ID}\.[0-9]+\.npy)"
)
EVALUATION_FILE = re.compile(
    rf"evaluations/[0-9a-f]{{2}}/(?P<owner>{_ID})/"
    r"(cases/[0-9]{7,}\.[0-9]+\.npz|report\.[0-9]+/.+|findings\.[0-9]+\.json)"
)
# An empty object that says that the database of this identity names files of the store.
DATABASE_MARKS = "databases"
DATABASE_MARK = re.compile(rf"{DATABASE_MARKS}/(?P<identity>{_ID})")
EVALUATION_FOLDER = re.compile(rf"(?P<owner>{_ID})(\.report\.(?P<attempt>[0-9]+))?")


def scan_prefix(scan_id: str) -> str:
    """The prefix of everything that is kept of one scan; two digits spread the scans over 256 folders."""
    return f"scans/{scan_id[:2]}/{scan_id}"


def original_key(scan_id: str) -> str:
    """The uploaded bytes."""
    return f"{scan_prefix(scan_id)}/original"


def stack_key(scan_id: str) -> str:
    """The decoded stack: `.npy`, uint8 (N, H, W, 3)."""
    return f"{scan_prefix(scan_id)}/stack.npy"


def map_key(scan_id: str, segmentation_id: str, attempt: int) -> str:
    """One attempt's probability map: `.npy`, uint8 (N, H, W). A stale attempt can never write over a newer one's."""
    return f"{scan_prefix(scan_id)}/{segmentation_id}.{attempt}.npy"


def truth_key(scan_id: str, truth_id: str) -> str:
    """The expert's masks of a scan: `.npy`, the bits of uint8 (N, H, bytes of a row)."""
    return f"{scan_prefix(scan_id)}/truth.{truth_id}.npy"


def own_truth_key(scan_id: str, truth_id: str) -> str:
    """The same on the voxels of the scan's file: slices, rows and columns of `VolumeGrid.axial_shape`."""
    return f"{scan_prefix(scan_id)}/truth.{truth_id}.own.npy"


def evaluation_prefix(evaluation_id: str) -> str:
    """The prefix of everything that is kept of one evaluation but an unpacked archive."""
    return f"evaluations/{evaluation_id[:2]}/{evaluation_id}"


def group_key(evaluation_id: str, position: int, attempt: int) -> str:
    """Maps and truths of the cases that were written together, from the case at that position on: `.npz`."""
    return f"{evaluation_prefix(evaluation_id)}/cases/{position:07d}.{attempt}.npz"


def report_prefix(evaluation_id: str, attempt: int) -> str:
    """The prefix of the report that an attempt wrote."""
    return f"{evaluation_prefix(evaluation_id)}/report.{attempt}"


def report_key(evaluation_id: str, attempt: int, name: str) -> str:
    """One file of that report."""
    return f"{report_prefix(evaluation_id, attempt)}/{name}"


def report_folder(evaluation_id: str, attempt: int) -> str:
    """The name of the folder in which an attempt makes its report."""
    return f"{evaluation_id}.report.{attempt}"


def findings_key(evaluation_id: str, attempt: int) -> str:
    """All that an attempt's check found, as JSON."""
    return f"{evaluation_prefix(evaluation_id)}/findings.{attempt}.json"
