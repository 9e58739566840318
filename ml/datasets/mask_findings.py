"""Is a mask what an expert drew? Its file can be read and still say something else: these are signs of that.

Masks with findings are used as they are; `check` and the portal list them, and an evaluation's headline counts them.
The bounds: no tumor covers more than 19 % of a slice of the LGG and COCO data (docs/datasets.md), none is at a corner
without tissue, and no two slices share a mask.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml.channels import brightest_channel
from ml.scans import LabelMap
from ml.volumes.silhouettes import enclosed

MOST_OF_SLICE = 0.5
# Of the head on a slice no tumor of the LGG and COCO data covers more than 0.28; a brain's mask covers 0.7 to 0.98. On
# the last slices of a skull-stripped brain, which are small, a tumor may.
_MOST_OF_HEAD, _LEAST_OF_SLICE = 0.5, 0.1
# A pixel below this share of the slice's brightest is background; a corner is this part of a side.
_BACKGROUND_SHARE = 0.1
_CORNERS_PER_SIDE = 16
_MOST_OUTSIDE = 0.5
# Labels and soft edges have one value that prevails; a picture has many, none of them on half of its pixels.
_PICTURE_VALUES, _PREVAILING_SHARE = 64, 0.5
# Neighbors of a stack that was resampled may share a mask.
_FEWEST_REPEATED = 3
# Two patients may share a mask of a few pixels by chance, never so many masks.
_FEWEST_SHARED = 3
# A rectangle: no side shorter, and its bounding box filled to this share. No mask of the LGG data fills more than 0.87.
_SHORTEST_SIDE = 8
_BOX_SHARE = 0.99
_FEWEST_BOXES = 3
# A line, if what it encloses, itself included, is more than so many times itself; of the LGG masks 1.42 at most.
_MOST_ENCLOSED, _FEWEST_OUTLINES = 1.6, 3


@dataclass(frozen=True)
class MaskFinding:
    """title: of a table; phrase: what precedes a number of masks in a headline; message: what is wrong, the remedy."""

    code: str
    title: str
    phrase: str
    message: str


COVERS_SLICE = "mask_covers_slice"
COVERS_HEAD = "mask_covers_head"
OUTSIDE_HEAD = "mask_outside_head"
MOSTLY_OUTSIDE = "mask_mostly_outside"
PICTURE = "mask_is_picture"
REPEATED = "mask_repeated"
SHARED = "mask_shared"
BOX = "mask_is_box"
OUTLINE = "mask_is_outline"
COLORS = "mask_colors"
TURNED = "mask_orientation"
CHANNEL_DROPPED = "mask_channel_dropped"
LOSSY = "lossy_mask"
NON_BINARY = "non_binary_mask"
ON_ANOTHER_GRID = "mask_on_another_grid"
CUT_OFF = "mask_cut_off"
RESAMPLED = "mask_resampled"
NEIGHBORS_LEFT_OUT = "mask_neighbors_left_out"

MASK_FINDINGS: dict[str, MaskFinding] = {
    finding.code: finding
    for finding in (
        MaskFinding(
            COVERS_SLICE,
            "Masks that cover most of their slice",
            "most of the slice covered",
            "The mask covers more than half of its slice, which no tumor does: are background and tumor exchanged?"
            " Export it again with 0 as background.",
        ),
        MaskFinding(
            COVERS_HEAD,
            "Masks that cover most of the head",
            "most of the head covered",
            "The mask covers more than half of the head, which no tumor does: is it the brain's? Give the tumor's.",
        ),
        MaskFinding(
            OUTSIDE_HEAD,
            "Masks that cover a corner outside the head",
            "a corner outside the head covered",
            "The mask covers a corner of its slice where there is no tissue: are background and tumor exchanged, or is"
            " it another slice's mask? Export it again with 0 as background.",
        ),
        MaskFinding(
            MOSTLY_OUTSIDE,
            "Masks that lie mostly outside the head",
            "mostly outside the head",
            "More than half of the mask's tumor lies outside the head: it may be another patient's or another slice's,"
            " shifted, or turned. Look at both together, and give each scan its own mask.",
        ),
        MaskFinding(
            PICTURE,
            "Masks that look like pictures",
            "like a picture",
            "The mask has many shades of gray and no label, so it looks like a scan, or a map, and no mask: every value"
            " but 0 is taken for tumor. Give the labels, 0 for background.",
        ),
        MaskFinding(
            REPEATED,
            "Masks that several slices share",
            "shared by three or more slices",
            "The same mask, pixel by pixel, belongs to three or more different slices: give each slice its own.",
        ),
        MaskFinding(
            SHARED,
            "Masks that two patients share",
            "shared by two patients",
            "Two patients, whose images differ, have three or more masks in common, pixel by pixel: one of them has the"
            " other's. Give each patient their own.",
        ),
        MaskFinding(
            BOX,
            "Masks that are rectangles",
            "rectangles",
            "The mask is an upright rectangle, as three or more others of other sizes or places are: boxes were filled,"
            " and nobody drew an outline. Dice beside a box says little of a mask; draw outlines.",
        ),
        MaskFinding(
            OUTLINE,
            "Masks that are lines around a region",
            "outlines that were not filled",
            "The mask is a line around a region, as three or more others are, and what it encloses does not count: the"
            " outline was saved in place of the region. Fill it, or add the rest if it is the tumor's rim alone.",
        ),
        MaskFinding(
            COLORS,
            "Masks of several colors",
            "several colors",
            "The mask has several colors, and every one but black is taken for tumor: if one of them is something else"
            " (the brain, a ventricle), save a mask of the tumor alone, 0 for background.",
        ),
        MaskFinding(
            TURNED,
            "Masks with another orientation tag than their image",
            "another orientation than the image",
            "The orientation tag (eXIf or TIFF) of the image and of the mask differ, so each was turned by its own"
            " (annotations have none and are not turned):"
            " look whether they lie on each other, or export both upright and without the tag.",
        ),
        MaskFinding(
            CHANNEL_DROPPED,
            "Masks of which a channel was dropped",
            "a channel dropped",
            "The mask has two or four channels: of two the first was used, of four the first three, and the"
            " last dropped. Store the mask alone.",
        ),
        MaskFinding(
            LOSSY,
            "Masks stored with loss",
            "stored with loss",
            "The mask was stored with loss (JPEG or WebP): values from 128 on are tumor, and its edge may be a pixel"
            " off. Export it again as PNG or TIFF.",
        ),
        MaskFinding(
            NON_BINARY,
            "Masks with other values than 0 and one more",
            "other values than 0 and one more",
            "The mask has other values than 0 for background and one for tumor: every value but 0 is tumor. Set a"
            " threshold and export it again, without interpolation.",
        ),
        MaskFinding(
            ON_ANOTHER_GRID,
            "Masks of another grid than their scan",
            "of another grid than the scan",
            "The mask was drawn on other voxels than the scan's: it was brought onto them by the positions that both"
            " files state, each voxel taking the nearest one's value. Export it on the scan's own grid to compare"
            " voxel by voxel.",
        ),
        MaskFinding(
            CUT_OFF,
            "Masks whose file ends where their tumor does not",
            "cut off at the end of their file",
            "The mask's file covers a part of the scan, and what it marks reaches the end of that part: beyond it there"
            " is no tumor here, and what the model marked there counts as extra. Export the mask over the whole scan.",
        ),
        MaskFinding(
            RESAMPLED,
            "Masks of volumes whose axial slices were interpolated",
            "on interpolated slices",
            "On the volume's own voxels axial pixels are far from squares, so axial slices were interpolated"
            " (`resampled`), and each of their pixels took the mask's nearest label. Figures of slices are of these,"
            " and tumor finer than their pixels may be lost there.",
        ),
        MaskFinding(
            NEIGHBORS_LEFT_OUT,
            "Masks of stacks of which other slices have none",
            "of a stack of which other slices have none",
            "Other slices of this stack have no mask and are left out, so models that look at neighbors, and the rule"
            " for stacks, do not see them: masks and figures may differ from those on the scan's page. Give each slice"
            " a mask, an empty one where there is no tumor.",
        ),
    )
}


@dataclass(frozen=True)
class MaskTraits:
    """What is kept of one mask to judge it beside the others.

    codes: findings that it shows by itself. truth_sha256: of its labels, whatever their numbers, None without tumor;
    pixels_sha256: of its slice, None where all its pixels are equal.
    """

    codes: tuple[str, ...]
    truth_sha256: str | None
    pixels_sha256: str | None


@dataclass(frozen=True)
class DoubtfulMasks:
    """How many of `masks` show a finding, and how many each of them, by its code."""

    masks: int = 0
    slices: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def phrase(self) -> str:
        """For a headline; empty without findings."""
        if not self.slices:
            return ""
        parts = [f"{MASK_FINDINGS[code].phrase}: {count:,}" for code, count in self.counts.items()]
        verb = "is" if self.slices == 1 else "are"
        return f"{self.slices:,} of {self.masks:,} expert masks {verb} doubtful ({', '.join(parts)})"


def count_values(values: NDArray[np.generic]) -> tuple[int, bool]:
    """How many different values a mask (H, W) has, and whether these are background (0) and one other, or one."""
    if values.dtype == np.bool:
        return 1 + bool(values.any() and not values.all()), True
    # Counting is ten times as fast as sorting, and most masks have 8 bits.
    kinds = np.flatnonzero(np.bincount(values.ravel())) if values.dtype == np.uint8 else np.unique(values)
    return int(kinds.size), bool(kinds.size == 1 or (kinds.size == 2 and kinds[0] == 0))


# Those of `codes_of_labels`: the mask's file shows them, and its pixels alone do not.
OF_FILES = frozenset((TURNED, CHANNEL_DROPPED, COLORS, LOSSY, NON_BINARY, PICTURE, ON_ANOTHER_GRID, CUT_OFF, RESAMPLED))


def codes_of_labels(labels: LabelMap, orientation: int) -> tuple[str, ...]:
    """What a mask's file shows. orientation: the tag of its image."""
    signs = {
        TURNED: labels.orientation not in (None, orientation),
        CHANNEL_DROPPED: not labels.is_whole,
        COLORS: labels.has_colors,
        LOSSY: labels.is_lossy,
        NON_BINARY: not count_values(labels.values)[1],
        PICTURE: is_picture(labels.values),
        ON_ANOTHER_GRID: labels.is_on_another_grid and bool(labels.values.any()),
        CUT_OFF: labels.is_cut_off and bool(labels.values.any()),
        RESAMPLED: labels.is_resampled and bool(labels.values.any()),
        NEIGHBORS_LEFT_OUT: False,  # a slice that was taken out of its stack says so itself
    }
    return tuple(code for code, is_there in signs.items() if is_there or code in labels.said)


def is_picture(values: NDArray[np.generic]) -> bool:
    """Whether a mask (H, W) has many values besides 0, and none of them prevails."""
    if values.dtype == np.bool:
        return False  # and most masks are
    others = values[values != 0]
    if others.size == 0:
        return False
    # Counting is ten times as fast as sorting, and most masks have 8 bits.
    counts = np.bincount(others) if others.dtype == np.uint8 else np.unique(others, return_counts=True)[1]
    return bool(np.count_nonzero(counts) > _PICTURE_VALUES and counts.max() < _PREVAILING_SHARE * others.size)


def trace_mask(
    pixels: NDArray[np.uint8], truth: NDArray[np.bool], codes: Iterable[str], truth_sha256: str | None
) -> MaskTraits:
    """A mask beside its slice. pixels: uint8 (H, W, 3); truth: bool (H, W); codes: of `codes_of_labels`; truth_sha256:
    of `digest_of_labels`."""
    found = list(codes)
    gray = brightest_channel(pixels)
    background = _BACKGROUND_SHARE * int(gray.max())
    # The head, by an estimate that needs no SciPy: of the tumors of the LGG data (1,110 slices) no pixel lies outside.
    area, within = int(np.count_nonzero(truth)), enclosed(gray >= max(1.0, background))
    inside = int(np.count_nonzero(truth & within))
    if area > MOST_OF_SLICE * truth.size:
        found.append(COVERS_SLICE)
    elif inside > _MOST_OF_HEAD * np.count_nonzero(within) and area > _LEAST_OF_SLICE * truth.size:
        found.append(COVERS_HEAD)
    elif _is_box(truth):
        found.append(BOX)
    elif _is_outline(truth):
        found.append(OUTLINE)
    if any((truth[corner] & (gray[corner] < background)).any() for corner in _corners(*truth.shape)):
        found.append(OUTSIDE_HEAD)
    if COVERS_SLICE not in found and area - inside > _MOST_OUTSIDE * area:
        found.append(MOSTLY_OUTSIDE)
    return MaskTraits(tuple(found), truth_sha256, digest_of_pixels(pixels))


def _is_box(truth: NDArray[np.bool]) -> bool:
    """Whether the tumor, bool (H, W), is one upright rectangle."""
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    if min(rows.size, columns.size) < _SHORTEST_SIDE:
        return False
    height, width = (int(places[-1] - places[0]) + 1 for places in (rows, columns))
    return int(np.count_nonzero(truth)) > _BOX_SHARE * height * width


def _is_outline(truth: NDArray[np.bool]) -> bool:
    """Whether the tumor, bool (H, W), is a line around a region."""
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    if min(rows.size, columns.size) < _SHORTEST_SIDE:
        return False
    around = truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int(np.count_nonzero(enclosed(around))) > _MOST_ENCLOSED * int(np.count_nonzero(around))


def _corners(height: int, width: int) -> list[tuple[slice, slice]]:
    rows, columns = max(height // _CORNERS_PER_SIDE, 1), max(width // _CORNERS_PER_SIDE, 1)
    return [
        (vertical, horizontal)
        for vertical in (slice(rows), slice(-rows, None))
        for horizontal in (slice(columns), slice(-columns, None))
    ]


def digest_of_labels(values: NDArray[np.generic]) -> str | None:
    """SHA-256 of a mask's size and labels (H, W), each by its rank: 0 and 1 are as 0 and 255; None without tumor."""
    if not values.any():
        return None
    _, is_binary = count_values(values)
    ranks = values != 0 if is_binary else np.unique(values, return_inverse=True)[1].reshape(values.shape)
    packed = np.packbits(ranks) if is_binary else ranks.astype(np.int32)
    return hashlib.sha256(str(values.shape).encode() + packed.tobytes()).hexdigest()


def digest_of_pixels(pixels: NDArray[np.uint8]) -> str | None:
    """SHA-256 of a slice, uint8 (H, W, 3), the same in every file format; None where all pixels are equal."""
    return None if pixels.min() == pixels.max() else hashlib.sha256(pixels.tobytes()).hexdigest()


def find_doubtful(masks: Sequence[MaskTraits | None], patients: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The findings of each mask, those that only show beside the others included; None: nothing can be compared.

    patients: whose each mask is; empty where all are one's.
    """
    slices: dict[str, set[str | None]] = defaultdict(set)
    for mask in masks:
        if mask is not None and mask.truth_sha256 is not None:
            slices[mask.truth_sha256].add(mask.pixels_sha256)
    repeated = {digest for digest, of_slices in slices.items() if len(of_slices) >= _FEWEST_REPEATED}
    shared = _shared_by_two(masks, patients) - repeated
    few = {code for code, fewest in _FEWEST.items() if _count_different(masks, code) < fewest}
    return [() if mask is None else tuple(_codes_beside(mask, repeated, shared, few)) for mask in masks]


# Of so many different masks: one or two may be of that form by chance.
_FEWEST = {BOX: _FEWEST_BOXES, OUTLINE: _FEWEST_OUTLINES}


def _count_different(masks: Iterable[MaskTraits | None], code: str) -> int:
    return len({mask.truth_sha256 for mask in masks if mask is not None and code in mask.codes})


def _shared_by_two(masks: Sequence[MaskTraits | None], patients: Sequence[str]) -> set[str | None]:
    """Digests of the masks that two patients have on slices that differ, where there are several of them."""
    owners: dict[str | None, dict[str, str | None]] = defaultdict(dict)
    for mask, patient in zip(masks, patients, strict=False):
        if mask is not None and mask.truth_sha256 is not None:
            owners[mask.truth_sha256].setdefault(patient, mask.pixels_sha256)
    found: dict[frozenset[str], set[str | None]] = defaultdict(set)
    for digest, pixels in owners.items():
        if len(pixels) == len(set(pixels.values())) == 2:
            found[frozenset(pixels)].add(digest)
    return {digest for digests in found.values() if len(digests) >= _FEWEST_SHARED for digest in digests}


def _codes_beside(
    mask: MaskTraits, repeated: Collection[str | None], shared: Collection[str | None], few: Collection[str]
) -> Iterator[str]:
    yield from (code for code in mask.codes if code not in few)
    if mask.truth_sha256 in repeated:
        yield REPEATED
    if mask.truth_sha256 in shared:
        yield SHARED


def count_doubtful(masks: Sequence[MaskTraits | None], patients: Sequence[str] = ()) -> DoubtfulMasks:
    """Counts over masks that can be compared, in the order of `MASK_FINDINGS`. patients: of `find_doubtful`."""
    found = find_doubtful(masks, patients)
    counts = Counter(code for codes in found for code in codes)
    return DoubtfulMasks(
        masks=sum(mask is not None for mask in masks),
        slices=sum(bool(codes) for codes in found),
        counts={code: counts[code] for code in MASK_FINDINGS if counts[code]},
    )
