"""T1 before contrast, FLAIR and T1 after contrast of one patient, joined to a scan whose channels they are.

FLAIR's grid is the new scan's: the others are brought onto it by their affines, by linear interpolation. Nothing is
registered, and what the files do not say is said, not guessed. The new scan has copies of its parts' pixels, and so it
goes when one of them is deleted.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ml.scans.sequence import SequenceKind, SequenceSource
from ml.volumes.alignment import Alignment
from ml.volumes.grid import Shape, VolumeGrid
from ml.volumes.places import unplaced, why_unplaced
from ml.volumes.planes import stack_affine
from ml.volumes.silhouettes import HeadOverlap
from webapp.domain.database.orm import is_id, new_id
from webapp.domain.errors import InvalidInput, NoGeometry, NotFound, StorageUnavailable
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, lookup
from webapp.domain.scans.models import Scan
from webapp.domain.scans.regrouping import GONE
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import original_key, stack_key
from webapp.domain.tracing import asked
from webapp.domain.uploads import idempotency

FORMAT = "joined"
# The scan's planes, as the models that ship read them (a card's `channels`).
CHANNELS = (SequenceKind.T1, SequenceKind.FLAIR, SequenceKind.T1_POST)
# Codes of warnings.
JOINED, FILLED, PARTLY_COVERED, FRAMES_DIFFER, FRAMES_UNKNOWN, HEADS_APART = (
    "sequences_joined",
    "sequence_filled",
    "sequence_partly_covered",
    "frames_differ",
    "frames_unknown",
    "heads_apart",
)
# Dice of the two heads' outlines. Series of one patient that lie on each other have 0.92 to 0.99, one shifted by 10 mm
# 0.87 to 0.91, by 15 mm 0.80 to 0.89, another patient's 0.86 (docs/formats.md).
LEAST_HEAD_DICE = 0.87
# A slice of which a part covers less has FLAIR in its place, as a missing sequence has.
LEAST_COVERED = 0.5
LONGEST_NAME = 255


@dataclass(frozen=True)
class Choice:
    """The ids of the scans that are read together; None for a sequence that there is not."""

    flair: str
    t1: str | None = None
    t1_post: str | None = None

    @property
    def by_kind(self) -> dict[SequenceKind, str]:
        """Those that are given, FLAIR first."""
        given = {SequenceKind.FLAIR: self.flair, SequenceKind.T1: self.t1, SequenceKind.T1_POST: self.t1_post}
        return {kind: scan_id for kind, scan_id in given.items() if scan_id is not None}


@dataclass(frozen=True)
class Part:
    """What a joined scan's row keeps of a part."""

    sequence: str
    id: str
    filename: str


@asked("join")
def join(resources: Resources, scan_id: str, choice: Choice, key: str | None = None) -> str:
    """Store the new scan and queue it; its id. The same parts again give the scan that they have become.

    scan_id: one of them. Raises NotFound, InvalidInput (parts that cannot be joined), NoGeometry, StorageFull,
    StorageUnavailable, KeyReused, KeyInUse.
    """
    body = json.dumps([scan_id, choice.flair, choice.t1, choice.t1_post]).encode()
    answer = idempotency.once(
        resources,
        scope=f"PUT sequences of {scan_id}",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
        work=lambda: {"scan": _join(resources, scan_id, choice)},
    )
    return str(answer["scan"])


def _join(resources: Resources, scan_id: str, choice: Choice) -> str:
    parts, model, threshold, study = _read_parts(resources, scan_id, choice)
    ids = {kind.value: scan.id for kind, scan in parts.items()}
    with resources.database.read() as session:
        if (known := _known(session, ids)) is not None:
            return known
    flair = parts[SequenceKind.FLAIR]
    original, stack = resources.storage.temporary_file(), resources.storage.temporary_file()
    try:
        with translated_errors():
            _write_originals(resources, parts, original)
            with original.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        with translated_errors():
            codes, details = _write_stack(resources, parts, stack)
        row = Scan(
            id=new_id(),
            filename=" + ".join(scan.stem for scan in parts.values())[:LONGEST_NAME],
            origin="upload",
            format=FORMAT,
            width=flair.width,
            height=flair.height,
            slice_count=flair.slice_count,
            spacing_mm=flair.spacing_mm,
            geometry=flair.geometry,
            # What a person chose outweighs a name, and not a header.
            sequence=flair.sequence if flair.sequence and flair.sequence["source"] == SequenceSource.HEADER else None,
            sha256=digest,
            bytes=original.stat().st_size,
            series=flair.series and {**flair.series, "description": ""},
            warnings=[*(code for code in flair.warnings if code != "gray_repeated"), *codes],
            warning_details={**(flair.warning_details or {}), **details} or None,
            parts=[asdict(Part(kind.value, scan.id, scan.filename)) for kind, scan in parts.items()],
        )
        check = partial(check_parts, ids=ids)
        return admission.store(
            resources, row, original, stack, model=model, threshold=threshold, study=study, check=check
        ).scan_id
    except AlreadyJoined as error:
        return error.scan_id
    finally:
        original.unlink(missing_ok=True)
        stack.unlink(missing_ok=True)


def _read_parts(
    resources: Resources, scan_id: str, choice: Choice
) -> tuple[dict[SequenceKind, Scan], str | None, float | None, str | None]:
    """The parts, FLAIR first, and FLAIR's model, threshold and study. Raises NotFound, InvalidInput, NoGeometry."""
    wanted = choice.by_kind
    if not all(is_id(part_id) for part_id in wanted.values()):
        raise NotFound("There is no such scan.")
    with resources.database.read() as session:
        lookup.get(session, scan_id)
        parts = {kind: lookup.get(session, part_id) for kind, part_id in wanted.items()}
        run = lookup.run(session, parts[SequenceKind.FLAIR], None)
        study = parts[SequenceKind.FLAIR].study
        model, threshold = (run.model, run.threshold) if run else (None, None)
        study_name = study.name if study else None
    if scan_id not in wanted.values():
        raise InvalidInput("The scan itself is none of the sequences; choose it as one of them.")
    if len(set(wanted.values())) < len(wanted):
        raise InvalidInput("One scan was chosen for two sequences; choose each of them once.")
    if len(wanted) < 2:
        raise InvalidInput("FLAIR alone is read as it is; choose T1 before or after contrast, too.")
    series = [scan.series or {} for scan in parts.values()]
    if any(len({one.get(known) for one in series} - {None}) > 1 for known in ("patient", "born")):
        raise InvalidInput("By their headers the sequences are of several patients; choose series of one.")
    for kind, scan in parts.items():
        if scan.geometry is None:
            raise NoGeometry(
                f"The scan chosen for {_NAMES[kind]} has no position in the patient, so it cannot be brought onto"
                " another's grid; send its DICOM or NIfTI file."
            )
        if scan.parts:
            raise InvalidInput(
                f"The scan chosen for {_NAMES[kind]} is made of several sequences already; choose a single one."
            )
    own = _grid(parts[SequenceKind.FLAIR])
    for kind, scan in parts.items():
        if (lacking := unplaced(own, _grid(scan))) is not None:
            names = ("FLAIR", _NAMES[kind]) if lacking is own else (_NAMES[kind], "FLAIR")
            raise InvalidInput(why_unplaced(*names))
    return parts, model, threshold, study_name


class AlreadyJoined(Exception):
    """The same parts have become a scan meanwhile: the same request was sent twice at once."""

    def __init__(self, scan_id: str) -> None:
        super().__init__(scan_id)
        self.scan_id = scan_id


def check_parts(session: Session, ids: Mapping[str, str]) -> None:
    """Keep the parts as they are until the transaction of the new scan ends. Raises NotFound, AlreadyJoined."""
    wanted = select(Scan.id).where(Scan.id.in_(ids.values())).order_by(Scan.id)
    # Waits for a deletion of one of them, which may have looked for scans joined of it before this one was there, and
    # for another request that joins them.
    if len(session.scalars(wanted.with_for_update(key_share=True)).all()) != len(ids):
        raise NotFound("A scan that was chosen has been deleted meanwhile.")
    if (known := _known(session, ids)) is not None:
        raise AlreadyJoined(known)


_NAMES = {SequenceKind.FLAIR: "FLAIR", SequenceKind.T1: "T1", SequenceKind.T1_POST: "T1 with contrast"}


def _known(session: Session, ids: Mapping[str, str]) -> str | None:
    """The oldest scan of these very parts, by sequence: equal files that were sent again are other parts."""
    made = select(Scan).where(Scan.id.in_(lookup.joined_of(session, list(ids.values()))))
    for scan in session.scalars(made.order_by(Scan.created_at, Scan.id)):
        if {part["sequence"]: part["id"] for part in scan.parts or ()} == ids:
            return scan.id
    return None


def _write_originals(resources: Resources, parts: Mapping[SequenceKind, Scan], target: Path) -> None:
    """A zip of the parts' originals, each in a folder of its sequence; equal for equal parts."""
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for kind, scan in parts.items():
                name = f"{scan.stem}.zip" if scan.format == "dicom" else scan.filename
                # ZipInfo's own date is the same for all.
                with (
                    resources.storage.open(original_key(scan.id)) as source,
                    archive.open(zipfile.ZipInfo(f"{kind.value}/{name}"), "w") as member,
                ):
                    shutil.copyfileobj(source, member)
    except FileNotFoundError as error:
        raise StorageUnavailable(GONE) from error


def _write_stack(
    resources: Resources, parts: Mapping[SequenceKind, Scan], target: Path
) -> tuple[list[str], dict[str, str]]:
    """Write uint8 (N, H, W, 3), a slice in memory at a time; codes of warnings, and details of some.

    Raises InvalidInput: no overlap.
    """
    flair = parts[SequenceKind.FLAIR]
    shape = (flair.slice_count, flair.height, flair.width)
    flair_slices = read_array(resources.storage, stack_key(flair.id))  # (N, H, W, 3)
    layers = {kind: _Layer.of(resources, flair, scan) for kind, scan in parts.items() if scan is not flair}
    for kind, layer in layers.items():
        if not layer.is_covered.any() and layer.most_covered:
            raise InvalidInput(
                f"{_NAMES[kind]} covers {layer.most_covered:.0%} of a slice of FLAIR at most, and {LEAST_COVERED:.0%}"
                " of one is needed: send a series that covers the head as FLAIR does."
            )
        if not layer.is_covered.any():
            raise InvalidInput(
                f"{_NAMES[kind]} does not overlap with FLAIR: by their headers the two lie in different places; choose"
                " series of one examination."
            )
    overlaps = {kind: HeadOverlap() for kind in layers}
    header = {"descr": "|u1", "fortran_order": False, "shape": (*shape, 3)}
    with target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for index in range(shape[0]):
            own = np.array(flair_slices[index, ..., 0])  # (H, W)
            planes = {kind: layers[kind].cut(index, own) if kind in layers else own for kind in CHANNELS}
            file.write(np.stack([planes[kind] for kind in CHANNELS], axis=-1).tobytes())
            for kind, layer in layers.items():
                if layer.is_covered[index]:
                    overlaps[kind].add(own, planes[kind])
    apart = {kind: dice for kind, item in overlaps.items() if (dice := item.dice or 0.0) < LEAST_HEAD_DICE}
    codes = [*_codes(parts, layers), *([HEADS_APART] if apart else [])]
    said = [f"{_NAMES[kind]}: {dice:.2f} of 1 (Dice of the two heads)." for kind, dice in apart.items()]
    return codes, {**_details(layers), **({HEADS_APART: " ".join(said)} if said else {})}


@dataclass(frozen=True)
class _Layer:
    """A part on FLAIR's grid. slices: uint8 (n, h, w), its own; is_covered: bool (N,), slices of FLAIR that it has;
    most_covered: of a slice of FLAIR, 0 to 1."""

    alignment: Alignment
    slices: NDArray[np.uint8]
    is_covered: NDArray[np.bool]
    most_covered: float

    @classmethod
    def of(cls, resources: Resources, flair: Scan, part: Scan) -> "_Layer":
        stored = read_array(resources.storage, stack_key(part.id))
        alignment = Alignment.of(_affine(flair), _affine(part), _shape(part))
        covered = alignment.covered_slices(flair.slice_count, (flair.height, flair.width))
        slices = np.ascontiguousarray(stored[..., 0])
        return cls(alignment, slices, covered >= LEAST_COVERED, float(covered.max()))

    def cut(self, index: int, flair: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One slice, uint8 (H, W); FLAIR's own where the part has none of it."""
        if not self.is_covered[index]:
            return flair
        height, width = flair.shape
        return self.alignment.cut(self.slices, index, (height, width))[0]


def _codes(parts: Mapping[SequenceKind, Scan], layers: Mapping[SequenceKind, _Layer]) -> Iterator[str]:
    yield JOINED
    if len(parts) < len(CHANNELS):
        yield FILLED
    if not all(layer.is_covered.all() for layer in layers.values()):
        yield PARTLY_COVERED
    frames = {_grid(scan).frame_of_reference for scan in parts.values()}
    if len(frames - {None}) > 1:
        yield FRAMES_DIFFER
    elif None in frames:
        yield FRAMES_UNKNOWN


def _details(layers: Mapping[SequenceKind, _Layer]) -> dict[str, str]:
    """Which slices of FLAIR, from 1, each sequence lacks."""
    lacking = {kind: np.flatnonzero(~layer.is_covered) for kind, layer in layers.items()}
    said = [f"{_NAMES[kind]} lacks in {_ranges(slices)}." for kind, slices in lacking.items() if slices.size]
    return {PARTLY_COVERED: " ".join(said)} if said else {}


def _ranges(slices: NDArray[np.intp]) -> str:
    """Indices from 0 as a person counts: "slices 1 to 3 and 24 to 26"."""
    runs = np.split(slices, np.flatnonzero(np.diff(slices) > 1) + 1)
    words = [str(run[0] + 1) if len(run) == 1 else f"{run[0] + 1} to {run[-1] + 1}" for run in runs]
    return f"slice{'' if slices.size == 1 else 's'} {' and '.join(words)}"


def _grid(scan: Scan) -> VolumeGrid:
    return VolumeGrid.from_json(scan.geometry)


def _shape(scan: Scan) -> Shape:
    return scan.slice_count, scan.height, scan.width


def _affine(scan: Scan) -> tuple[tuple[float, ...], ...]:
    return stack_affine(_grid(scan), _shape(scan))
