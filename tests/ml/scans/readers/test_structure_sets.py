"""An RTSTRUCT's outlines on the voxels of a scan."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.scans import Limits, ScanError, read_labels_on
from ml.scans.readers.dicom import structure_sets
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume, cut_labels, is_same_lattice
from tests.support import volume_files
from tests.support.structure_sets import FRAME, Outline, box, structure_set

SHAPE = (20, 24, 8)
AFFINE = volume_files.affine_of("LPS", (2.0, 3.0, 5.0), SHAPE)
GRID = VolumeGrid.of(AFFINE, SHAPE, FRAME)
XOR = "CLOSEDPLANAR_XOR"
OUTER, INNER, CORE = box(2.5, 2.5, 12.5, 12.5), box(4.5, 4.5, 10.5, 10.5), box(6.5, 6.5, 8.5, 8.5)
# Once around, in through a channel, around the hole the other way, and out again.
KEYHOLE = [*OUTER, OUTER[0], INNER[0], *INNER[:0:-1], INNER[0]]


def read(tmp_path: Path, data: bytes, regions: tuple[str, ...] = (), grid: VolumeGrid = GRID) -> LabelVolume:
    path = tmp_path / "plan.dcm"
    path.write_bytes(data)
    found = read_labels_on(path, Limits(), grid, regions)
    assert found is not None
    return found


def filled(*boxes: list[tuple[float, float]]) -> NDArray[np.bool]:
    """Pixels in an odd number of boxes, (column, row)."""
    found = np.zeros(SHAPE[:2], np.bool)
    for corners in boxes:
        (top, left), _, (bottom, right), _ = corners
        column, row = np.indices(SHAPE[:2])
        found ^= (row > top) & (row < bottom) & (column > left) & (column < right)
    return found


@pytest.mark.parametrize(
    ("outlines", "wanted"),
    [
        ([Outline(OUTER, 3)], filled(OUTER)),
        ([Outline(KEYHOLE, 3)], filled(OUTER, INNER)),
        ([Outline(OUTER, 3, XOR), Outline(INNER, 3, XOR), Outline(CORE, 3, XOR)], filled(OUTER, INNER, CORE)),
        ([Outline(CORE, 3), Outline(OUTER, 3), Outline(INNER, 3)], filled(OUTER, INNER, CORE)),
        ([Outline(OUTER, 3), Outline(OUTER[::-1], 3)], filled(OUTER)),
        ([Outline(OUTER, 3), Outline(box(8.5, 8.5, 16.5, 16.5), 3)], filled(OUTER) | filled(box(8.5, 8.5, 16.5, 16.5))),
        ([Outline(box(3, 3, 12, 12), 3), Outline(box(4, 4, 11, 11), 3)], filled(OUTER, INNER)),
    ],
    ids=["plain", "keyhole", "xor", "nested", "twice", "overlapping", "through centers"],
)
def test_outlines_of_a_plane_are_combined_as_the_standard_has_it(
    tmp_path: Path, outlines: list[Outline], wanted: NDArray[np.bool]
) -> None:
    found = read(tmp_path, structure_set(AFFINE, [("GTV", outlines)]))
    assert found.grid == GRID
    np.testing.assert_array_equal(found.is_tumor[:, :, 3], wanted)
    assert found.is_tumor.sum() == wanted.sum(), "and nothing on other slices"


@pytest.mark.parametrize("orientation", ["PSR", "AIL", "LPS"])
def test_outlines_of_any_direction_lie_where_their_scan_does(tmp_path: Path, orientation: str) -> None:
    affine = volume_files.affine_of(orientation, (2.0, 3.0, 5.0), SHAPE)
    found = read(
        tmp_path, structure_set(affine, [("GTV", [Outline(OUTER, 5)])]), grid=VolumeGrid.of(affine, SHAPE, FRAME)
    )
    np.testing.assert_array_equal(found.is_tumor[:, :, 5], filled(OUTER))


def test_a_volume_whose_slices_are_another_axis_takes_them_too(tmp_path: Path) -> None:
    turned = VolumeGrid.of(AFFINE[:, [2, 0, 1, 3]], (SHAPE[2], SHAPE[0], SHAPE[1]), FRAME)
    found = read(tmp_path, structure_set(AFFINE, [("GTV", [Outline(OUTER, 5)])]), grid=turned)
    np.testing.assert_array_equal(found.is_tumor[5], filled(OUTER))


def test_outlines_between_slices_are_slabs_whose_nearest_a_slice_takes(tmp_path: Path) -> None:
    """Drawn on a series of twice as many slices, of the same frame of reference: 2.75 is that of slice 3."""
    drawn = [Outline(OUTER, 2.75), Outline(INNER, 3.25), Outline(CORE, 3.75)]
    found = read(tmp_path, structure_set(AFFINE, [("GTV", drawn)]))
    assert not is_same_lattice(found.grid, GRID) and found.grid.shape == (*SHAPE[:2], 3)
    slices = np.stack(list(cut_labels(found, GRID, (SHAPE[2], SHAPE[1], SHAPE[0]))))  # as LPS is: (slice, row, column)
    np.testing.assert_array_equal(slices[3], filled(OUTER).T)
    np.testing.assert_array_equal(slices[4], filled(CORE).T)
    assert not slices[[0, 1, 2, 5, 6, 7]].any()


def test_an_empty_region_is_a_mask_without_tumor(tmp_path: Path) -> None:
    assert not read(tmp_path, structure_set(AFFINE, [("GTV", [])])).is_tumor.any()


@pytest.mark.parametrize(
    ("names", "wanted", "taken"),
    [
        (["Brain", "Tumor"], (), [1]),
        (["BODY", "GTV", "CTV", "PTV", "Brain-GTV", "GTV+5mm"], (), [1]),
        (["Brain", "GTV_1", "gtv 2"], (), [1, 2]),
        (["Brain", "GTV_anna", "GTV_ben"], ("gtv_BEN",), [2]),
        (["roi1", "roi2", "roi3"], ("roi1", "roi3"), [0, 2]),
        (["Brain"], (), [0]),
    ],
)
def test_the_tumors_regions_are_chosen_by_name(
    tmp_path: Path, names: list[str], wanted: tuple[str, ...], taken: list[int]
) -> None:
    found = read(tmp_path, structure_set(AFFINE, [(name, [Outline(OUTER, k)]) for k, name in enumerate(names)]), wanted)
    assert [k for k in range(SHAPE[2]) if found.is_tumor[:, :, k].any()] == taken


@pytest.mark.parametrize(
    ("names", "wanted", "said"),
    [
        (["A", "B"], (), "2 regions (A, B), and their names do not say clearly"),
        (["GTV_anna", "GTV_ben"], (), "GTV_anna, GTV_ben"),
        (["GTV", "Brain"], ("tumor",), "no region tumor; it has GTV, Brain"),
        ([f"region {k}\0\n" for k in range(12)], (), "region 7 and 4 more"),
        ([], (), "has 0 regions"),
    ],
)
def test_where_it_is_not_clear_the_names_are_said(
    tmp_path: Path, names: list[str], wanted: tuple[str, ...], said: str
) -> None:
    data = structure_set(AFFINE, [(name, [Outline(OUTER, 3)]) for name in names])
    with pytest.raises(ScanError) as refused:
        read(tmp_path, data, wanted)
    assert said in refused.value.message


SLOPED = [(2.5, 2.5), (2.5, 12.5), (12.5, 12.5)]


@pytest.mark.parametrize(
    ("outlines", "elements", "said"),
    [
        ([Outline(OUTER, 3, "OPEN_PLANAR")], {}, "type OPEN_PLANAR"),
        ([Outline(OUTER[:1], 3, "POINT")], {}, "type POINT"),
        ([Outline(OUTER, 1), Outline(OUTER, 3), Outline(OUTER, 5)], {}, "on one slice of 2 alone"),
        ([Outline(OUTER, 1.3), Outline(OUTER, 2.4), Outline(OUTER, 3.9)], {}, "between the slices"),
        ([Outline(OUTER, 1.5), Outline(OUTER, 4.5)], {}, "at most 10 mm"),
        ([Outline(OUTER, 9)], {}, "outside of its scan"),
        ([Outline(OUTER, -1e5)], {}, "outside of its scan"),
        ([Outline(box(2.5, 2.5, 12.5, 40.5), 3)], {}, "outside of its scan"),
        ([Outline([], 3)], {}, "no numbers in threes"),
        ([Outline(OUTER, 3)], {"ROIContourSequence": [], "StructureSetROISequence": []}, "0 regions"),
    ],
)
def test_what_is_no_mask_of_its_scan_is_refused_in_a_sentence(
    tmp_path: Path, outlines: list[Outline], elements: dict[str, object], said: str
) -> None:
    with pytest.raises(ScanError) as refused:
        read(tmp_path, structure_set(AFFINE, [("GTV", outlines)], **elements))
    assert said in refused.value.message


def test_outlines_across_the_planes_of_voxels_are_refused(tmp_path: Path) -> None:
    tilted = AFFINE.copy()
    tilted[2, 1] += 1.0
    tilted[2, 0] += 1.0
    with pytest.raises(ScanError, match="do not lie in planes"):
        read(tmp_path, structure_set(tilted, [("GTV", [Outline(OUTER, 3)])]))


def test_another_frame_of_reference_is_refused_and_none_is_not(tmp_path: Path) -> None:
    data = structure_set(AFFINE, [("GTV", [Outline(OUTER, 3)])])
    with pytest.raises(ScanError, match="another frame of reference"):
        read(tmp_path, data, grid=VolumeGrid.of(AFFINE, SHAPE, "1.2.3.4"))
    assert read(tmp_path, data, grid=VolumeGrid.of(AFFINE, SHAPE)).is_tumor.any()


@pytest.mark.parametrize("limit", ["MOST_POINTS", "MOST_OUTLINES", "MOST_CROSSINGS"])
def test_work_is_bounded(tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure_sets, limit, 1)
    with pytest.raises(ScanError) as refused:
        read(tmp_path, structure_set(AFFINE, [("GTV", [Outline(OUTER, 2), Outline(OUTER, 3)])]))
    assert refused.value.code == "limit"
