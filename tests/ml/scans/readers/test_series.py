"""Which DICOM files are one scan, in which order, and what of them is refused: by directions, sizes, copies, values."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from ml.scans.readers.dicom import reader
from ml.scans.readers.dicom.frames import Frame
from ml.scans.readers.dicom.instances import Instance
from ml.scans.readers.dicom.people import whose_files
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
        padding=None,
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
        born="",
        examination="",
        label=SeriesLabel(),
        is_capture=False,
        is_derived=False,
    )


def test_two_birth_dates_under_one_id_are_two_persons() -> None:
    files = [replace(instance(float(k)), patient="12345", born=f"{k % 2}") for k in range(6)]
    assert sort_files(files) == [[0, 2, 4], [1, 3, 5]]
    assert sort_files([*files[::2], replace(files[1], born="")]) == [[0, 1, 2, 3]]


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


def unnamed(number: int, examination: str = "", series_uid: str = "1.2", patient: str = "", uid: str = "") -> Instance:
    return replace(
        instance(float(number)), examination=examination, series_uid=series_uid, patient=patient, instance_uid=uid
    )


@pytest.mark.parametrize("series_uid", ["1.2", ""])
def test_folders_tell_patients_apart_whom_no_header_names_under_one_series_number(series_uid: str) -> None:
    files = [unnamed(number, series_uid=series_uid) for number in (1, 2, 1, 2, 1, 2)]
    folders = ["/set/sub-01/flair"] * 2 + ["/set/sub-02/flair"] * 2 + ["/set/sub-02/t1"] * 2
    whose = whose_files(files, folders)
    assert sort_files(files, whose) == [[0, 1], [2, 3], [4, 5]]
    people = [item.person for item in whose]
    assert people[0] == people[1] != people[2] == people[3] == people[4]


def test_a_series_in_two_folders_whose_numbers_go_on_is_one() -> None:
    files = [unnamed(number) for number in (1, 2, 3, 4)]
    folders = ["/disc/DIR001"] * 2 + ["/disc/DIR002"] * 2
    assert sort_files(files, whose_files(files, folders)) == [[0, 1, 2, 3]]


def test_pictures_sent_twice_in_two_folders_and_those_of_a_named_patient_are_one_series() -> None:
    twice = [unnamed(number, uid=f"1.{number}") for number in (1, 2, 1, 2)]
    known = [unnamed(number, patient="digest") for number in (1, 2, 1, 2)]
    folders = ["/a"] * 2 + ["/b"] * 2
    for files in (twice, known):
        assert sort_files(files, whose_files(files, folders)) == [[0, 1, 2, 3]]


def test_pictures_of_two_examinations_whom_no_header_names_are_two_series() -> None:
    files = [unnamed(1, "one"), unnamed(2, "one"), unnamed(3, "two")]
    assert sort_files(files) == [[0, 1], [2]]


def test_pictures_that_lie_beside_each_other_are_no_stack() -> None:
    files = [instance(float(k)) for k in range(4)]
    frame = files[1].frames[0]
    files[1] = replace(files[1], frames=(replace(frame, position=(5.0, 0.0, 1.0)),))
    with pytest.raises(ScanError, match="do not lie above one another"):
        order_frames(files)


@pytest.mark.parametrize(
    ("padding", "type_", "elements"),
    [
        (-32768, "<i2", {"PixelPaddingValue": -32768}),
        (-2000, "<i2", {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1900}),
        (65535, "<u2", {"PixelPaddingValue": 65535}),
        (4095, "<u2", {"PixelPaddingValue": 4095, "BitsStored": 12, "HighBit": 11}),
        (0, "<u2", {"PixelPaddingValue": 0}),
        (0, "<u2", {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"}),
        (-32768, "<i2", {"PixelPaddingValue": -32768, "RescaleSlope": 2, "RescaleIntercept": 0}),
    ],
)
def test_padding_is_as_dark_as_air(padding: int, type_: str, elements: dict[str, object], tmp_path: Path) -> None:
    """Reformatted series of workstations are padded around what was cut."""
    rows, columns = np.mgrid[:32, :32]
    head = ((rows - 16) ** 2 + (columns - 16) ** 2 < 100)[..., None] & np.ones(4, bool)
    is_inverted = elements.get("PhotometricInterpretation") == "MONOCHROME1"
    voxels = np.where(head, 300 + rows[..., None] * 9, 0)
    voxels = 1000 - voxels if is_inverted else voxels
    plain = {name: value for name, value in elements.items() if not name.startswith("PixelPadding")}
    padded = np.where((columns < 3)[..., None], padding, voxels)

    scans = []
    for number, (values, own) in enumerate([(voxels, plain), (padded, elements)]):
        paths = []
        affine = affine_of("LPS", (1.0, 1.0, 4.0), values.shape)
        for place, data in enumerate(series(values.astype(type_), affine, **own)):
            paths.append(tmp_path / f"{number}-{place}.dcm")
            paths[-1].write_bytes(data)
        scans.append(reader.read_series(paths, Limits()))

    assert np.array_equal(scans[0].pixels, scans[1].pixels)
    assert scans[0].warnings == scans[1].warnings


def test_an_annotated_copy_of_a_slice_is_no_part_of_its_series() -> None:
    """Workstations store a copy with an arrow under the series of its slice."""
    slices = [instance(float(height)) for height in range(5)]
    copy = replace(instance(3.0), number=1003, instance_uid="copy", is_derived=True)
    assert sort_files([*slices[:2], copy, *slices[2:]]) == [[0, 1, 3, 4, 5], [2]]
    again = [replace(one, instance_uid=f"2.{one.number}", acquisition=2) for one in slices]
    assert sort_files([*slices, *again]) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
