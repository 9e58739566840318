"""Which DICOM files are one scan, in which order, and what of them is refused: by directions, sizes, copies, values."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from ml.scans.readers.dicom import reader
from ml.scans.readers.dicom.instances import Frame, Instance
from ml.scans.readers.dicom.series import order_frames, sort_files
from ml.scans.scan import Limits, ScanError
from ml.scans.series_label import SeriesLabel
from tests.support.dicom_files import series
from tests.support.volume_files import affine_of

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def instance(
    z: float, orientation: tuple[float, ...] = AXIAL, spacing_mm: tuple[float, float] = (1.0, 1.0)
) -> Instance:
    frame = Frame(0, (0.0, 0.0, z), orientation, spacing_mm, 1.0, 0.0, 1.0, 0)
    return Instance(
        path=Path(f"{z:g}.dcm"),
        frames=(frame,),
        tiles_across=1,
        rows=32,
        columns=32,
        is_inverted=False,
        series_uid="1.2",
        instance_uid=f"1.2.{z:g}",
        frame_of_reference=None,
        modality="MR",
        number=int(z),
        acquisition=0,
        echo="",
        has_burned_in_text=False,
        sequence=None,
        patient="",
        examination="",
        label=SeriesLabel(),
    )


def turned(sine: float) -> tuple[float, ...]:
    cosine = sqrt(1 - sine**2)
    return (cosine, sine, 0.0, -sine, cosine, 0.0)


@pytest.mark.parametrize("sine", [0.125, 0.005, -0.345])
def test_directions_that_rounding_tells_apart_are_one_series(sine: float) -> None:
    files = [instance(float(k), turned(sine + (1e-7 if k % 2 else -1e-7))) for k in range(6)]
    assert sort_files(files) == [[0, 1, 2, 3, 4, 5]]


def test_other_directions_and_other_sizes_of_pixels_are_scans_of_their_own_in_the_order_of_their_files() -> None:
    coronal = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    files = [
        instance(0.0),
        instance(0.0, coronal),
        instance(1.0),
        instance(1.0, spacing_mm=(2.0, 2.0)),
        instance(1.0, coronal),
    ]
    assert sort_files(files) == [[0, 2], [1, 4], [3]]


@pytest.mark.parametrize(
    "orientation", [(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)]
)
def test_pictures_that_are_turned_or_mirrored_in_their_plane_are_no_stack(orientation: tuple[float, ...]) -> None:
    files = [instance(0.0), instance(1.0), instance(2.0, orientation)]
    with pytest.raises(ScanError, match="turned in their plane; send one plane alone"):
        order_frames(files)


def test_pictures_with_other_sizes_of_pixels_are_no_stack() -> None:
    files = [instance(0.0), instance(1.0), instance(2.0, spacing_mm=(1.0, 0.5))]
    with pytest.raises(ScanError, match="pixels of different sizes"):
        order_frames(files)
    assert order_frames([instance(0.0), instance(1.0, spacing_mm=(1.0, 1.0001))]).is_even


def test_pictures_without_a_uid_at_one_position_are_not_taken_for_copies() -> None:
    doubled = [instance(0.0), instance(1.0), instance(1.0)]
    assert order_frames(doubled).notes == ("slices_doubled",)
    nameless = [replace(item, instance_uid="") for item in doubled]
    with pytest.raises(ScanError, match="several pictures of each position"):
        order_frames(nameless)
    echoes = [replace(instance(float(k % 2)), instance_uid="", number=k) for k in range(4)]
    assert [[place.file for place in order_frames(echoes, volume).places] for volume in (1, 2)] == [[0, 1], [2, 3]]


def test_unsigned_values_of_32_bits_keep_their_order(tmp_path: Path) -> None:
    shape = (32, 24, 3)
    voxels = np.linspace(0, 2**32 - 1, int(np.prod(shape))).astype(np.uint32).reshape(shape)
    paths = []
    files = series(voxels, affine_of("LPS", (1.0, 1.0, 1.0), shape), BitsAllocated=32, BitsStored=32, HighBit=31)
    for number, content in enumerate(files):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(content)
    found = reader.read_series(paths, Limits()).pixels[..., 0]
    place = np.argsort(voxels.transpose(2, 1, 0), axis=None)
    assert (np.diff(found.ravel()[place].astype(int)) >= 0).all()
