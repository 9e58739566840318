"""NRRD as an expert's mask: as SimpleITK and 3D Slicer write it, and what is refused."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from ml.scans import Limits, ScanError, read_grid, read_label_volume, read_labels_on, read_scan
from ml.volumes.grid import VolumeGrid
from tests.support import volume_files

SHAPE = (14, 16, 12)
SPACING_MM = (10.0, 11.0, 12.0)
AFFINE = volume_files.affine_of("LPS", SPACING_MM, SHAPE)
TUMOR = volume_files.tumor(AFFINE, SHAPE)
GRID = VolumeGrid.of(AFFINE, SHAPE)


def header(
    shape: tuple[int, ...] = SHAPE,
    affine: NDArray = AFFINE,
    keys: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    **fields: str,
) -> bytes:
    """A header by hand; of four axes the first is one of layers. fields: with `_` for a space."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    vectors = [f"({','.join(map(repr, map(float, lps[:3, axis])))})" for axis in range(4)]
    layers = ["none"] if len(shape) == 4 else []
    lines = {
        "type": "unsigned char",
        "dimension": str(len(shape)),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, shape)),
        "space directions": " ".join([*layers, *vectors[:3]]),
        "kinds": " ".join(["list"] * len(layers) + ["domain"] * 3),
        "encoding": "raw",
        "space origin": vectors[3],
    } | {name.replace("_", " "): value for name, value in fields.items()}
    text = ["NRRD0004", "# made by hand", *(f"{name}: {value}" for name, value in lines.items() if name not in without)]
    return "\n".join([*text, *(f"{name}:={value}" for name, value in (keys or {}).items()), "", ""]).encode()


def segment(number: int, name: str, value: int | None = 1, layer: int | None = 0) -> dict[str, str]:
    parts = {"Name": name, "LabelValue": value, "Layer": layer, "Extent": "0 1 0 1 0 1"}
    return {f"Segment{number}_{part}": str(said) for part, said in parts.items() if said is not None}


def read_bytes(folder: Path, data: bytes, *regions: str) -> Any:
    path = folder / "mask.seg.nrrd"
    path.write_bytes(data)
    return read_labels_on(path, Limits(), GRID, regions)


def refused(folder: Path, data: bytes, *regions: str) -> str:
    with pytest.raises(ScanError) as error:
        read_bytes(folder, data, *regions)
    assert error.value.code in ("unreadable", "limit")
    return error.value.message


@pytest.mark.parametrize("is_packed", [True, False], ids=["gzip", "raw"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "uint32"])
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIL", "SLA"])
def test_a_label_of_simpleitk_lies_where_it_was_drawn(
    tmp_path: Path, orientation: str, dtype: str, is_packed: bool
) -> None:
    affine = volume_files.affine_of(orientation, SPACING_MM, SHAPE)
    tumor = volume_files.tumor(affine, SHAPE)
    image = SimpleITK.GetImageFromArray((tumor * 3).transpose(2, 1, 0).astype(dtype))
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    image.SetSpacing(SPACING_MM)
    image.SetDirection((lps[:, :3] / SPACING_MM).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    path = tmp_path / "label.nrrd"
    SimpleITK.WriteImage(image, str(path), is_packed)
    found = read_label_volume(path, Limits())
    assert found is not None and found.has_labels
    np.testing.assert_array_equal(found.is_tumor, tumor)
    np.testing.assert_allclose(found.grid.matrix, affine, atol=1e-4)
    assert read_grid(path, Limits()) == found.grid


@pytest.mark.parametrize(
    ("space", "signs"),
    [("RAS", (-1, -1, 1)), ("right-anterior-superior", (-1, -1, 1)), ("left-anterior-superior", (1, -1, 1))],
)
def test_other_spaces_are_the_patients_too(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    affine = np.diag([*signs, 1]) @ AFFINE  # what `header` writes of it is AFFINE in this space
    found = read_bytes(tmp_path, header(affine=affine, space=space) + TUMOR.tobytes("F"))
    np.testing.assert_allclose(found.grid.matrix, AFFINE)


def test_big_endian_and_lines_of_windows_are_read(tmp_path: Path) -> None:
    data = header(type="short", endian="big").replace(b"\n", b"\r\n")
    found = read_bytes(tmp_path, data + (TUMOR * 2).astype(">i2").tobytes("F"))
    np.testing.assert_array_equal(found.is_tumor, TUMOR)


LAYERS = np.stack([TUMOR * 1 + np.roll(TUMOR, 1, 0) * ~TUMOR * 2, np.roll(TUMOR, 2, 1)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("names", "regions", "wanted"),
    [
        (("Tumor", "edema", "brain"), (), LAYERS[0] == 1),
        (("necrosis", "edema", "ventricle"), ("edema", "ventricle"), (LAYERS[0] == 2) | (LAYERS[1] == 1)),
        (("GTV1", "GTV2", "brain"), ("gtv1",), LAYERS[0] == 1),
        (("Enhancing Lesion", "Peritumoral Edema", "brain"), (), LAYERS[0] > 0),  # as NIfTI's labels: the whole
        (("brain", "ED", "tumor core"), (), (LAYERS[0] == 2) | (LAYERS[1] == 1)),
        (("Whole tumor", "Enhancing tumor", "NCR"), (), LAYERS[0] == 1),
    ],
)
def test_of_a_segmentation_the_tumors_segments_are_taken(
    tmp_path: Path, names: tuple[str, str, str], regions: tuple[str, ...], wanted: NDArray
) -> None:
    """As 3D Slicer writes them: two segments in a layer, a third that overlaps them in another."""
    keys = segment(0, names[0]) | segment(1, names[1], 2) | segment(2, names[2], 1, 1)
    packed = header((2, *SHAPE), keys=keys, encoding="gzip") + gzip.compress(LAYERS.tobytes("F"))
    np.testing.assert_array_equal(read_bytes(tmp_path, packed, *regions).is_tumor, wanted)


def test_a_part_of_the_tumor_beside_others_is_not_the_tumor(tmp_path: Path) -> None:
    """The enhancing tumor alone was the whole."""
    keys = segment(0, "Enhancing tumor") | segment(1, "brain", 2) | segment(2, "ventricle", 1, 1)
    assert "(Enhancing tumor, brain, ventricle)" in refused(
        tmp_path, header((2, *SHAPE), keys=keys) + LAYERS.tobytes("F")
    )


def test_a_single_segment_is_the_tumor_whatever_it_is_called(tmp_path: Path) -> None:
    found = read_bytes(tmp_path, header(keys=segment(0, "Segment_1", 5)) + (TUMOR * 5).astype("u1").tobytes("F"))
    np.testing.assert_array_equal(found.is_tumor, TUMOR)


def test_layers_of_older_slicer_are_segments(tmp_path: Path) -> None:
    keys = segment(0, "edema", None, None) | segment(1, "tumor", None, None)
    found = read_bytes(tmp_path, header((2, *SHAPE), keys=keys) + LAYERS.tobytes("F"))
    np.testing.assert_array_equal(found.is_tumor, LAYERS[1] == 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header(keys=segment(0, "one") | segment(1, "two", 2)), "has 2 regions (one, two)"),
        (header((2, *SHAPE)), "holds 2 volumes"),
        (header(keys=segment(0, "tumor", 1, 4)), "lies in a layer that is not there"),
        (header(keys=segment(0, "tumor", 0)), "no value or layer"),
        (header(without=("space", "space directions", "space origin")), "does not say how its voxels lie"),
        (header(space="scanner-xyz"), "space is scanner-xyz"),
        (header(space_units='"cm" "cm" "cm"'), "other units than mm"),
        (header(data_file="mask.raw"), "in another file"),
        (header(byte_skip="12"), "skips bytes"),
        (header(encoding="bzip2"), "encoding is bzip2"),
        (header(type="block"), "type is none"),
        (header(type="short"), "order of bytes"),
        (header(sizes="14 16"), "sizes are no volume's"),
        (header(sizes="14 16 -1"), "sizes is no number"),
        (header(sizes="14 0 12"), "sizes are no volume's"),
        (header(sizes="900000 1 1"), "sizes are no volume's"),
        (header(sizes="99999 99999 99999"), "the limit is"),
        (header(space_directions="(1,0,0) (0,1,0)"), "one for each axis"),
        (header(space_directions="(1,0,0) (0,x,0) (0,0,1)"), "no numbers"),
        (header(space_directions="(1,0,0) (0,nan,0) (0,0,1)"), "NaN"),
        (header(space_directions="(1,0,0) (1,0,0) (0,0,1)"), "singular"),
        (header(space_directions="(0,0,0) (0,1,0) (0,0,1)"), "voxels of"),
        (header(space_directions="none (1,0,0) (0,1,0)"), "three axes"),
        (header(space_origin="(1,2)"), "three numbers"),
        (header()[:200], "has no end"),
    ],
)
def test_what_is_no_mask_is_refused_in_a_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in refused(tmp_path, data + bytes(2 * TUMOR.size))


def test_an_unknown_region_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    voxels = TUMOR.tobytes("F")
    assert "it has edema" in refused(tmp_path, header(keys=segment(0, "edema")) + voxels, "tumor")
    assert "names no segments" in refused(tmp_path, header() + voxels, "tumor")


def test_a_picture_and_a_map_are_no_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = header(type="ushort", endian="little") + rng.integers(0, 900, SHAPE).astype("<u2").tobytes("F")
    assert "no mask of a tumor" in refused(tmp_path, picture)
    nothing = np.full(SHAPE, np.nan, "<f4").tobytes("F")
    assert "NaN" in refused(tmp_path, header(type="float", endian="little") + nothing)
    assert not read_bytes(
        tmp_path, header(type="float", endian="little") + (TUMOR * 0.5).astype("<f4").tobytes("F")
    ).has_labels


@pytest.mark.parametrize("is_packed", [True, False], ids=["gzip", "raw"])
def test_cut_files_and_flipped_bytes_are_refused_or_read(tmp_path: Path, is_packed: bool) -> None:
    """Each is a mask or a sentence."""
    voxels = TUMOR.tobytes("F")
    pack: Callable[[bytes], bytes] = gzip.compress if is_packed else bytes
    whole = header(keys=segment(0, "tumor"), encoding="gzip" if is_packed else "raw") + pack(voxels)
    for length in (8, 60, len(whole) // 2, len(whole) - 30):
        assert refused(tmp_path, whole[:length].ljust(12, b"x")).endswith(".")
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(8, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        try:
            assert read_bytes(tmp_path, bytes(damaged)).is_tumor.shape
        except ScanError as error:
            assert error.message.endswith(".")


def test_a_bomb_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    bomb = header(encoding="gzip") + gzip.compress(TUMOR.tobytes("F") + bytes(2**26))
    np.testing.assert_array_equal(read_bytes(tmp_path, bomb).is_tumor, TUMOR)


def test_bytes_behind_a_gzip_stream_are_nobodys(tmp_path: Path) -> None:
    whole = header(encoding="gzip") + gzip.compress(TUMOR.tobytes("F"))
    np.testing.assert_array_equal(read_bytes(tmp_path, whole + b"\r\n").is_tumor, TUMOR)


def test_no_scan_is_read_from_it(tmp_path: Path) -> None:
    path = tmp_path / "scan.nrrd"
    path.write_bytes(header() + bytes(TUMOR.size))
    with pytest.raises(ScanError, match="NRRD volume, which is not read here") as error:
        read_scan(path, Limits())
    assert error.value.code == "unsupported"


@pytest.mark.parametrize("dates", [("2019", "2020"), ("20190304", "20200110"), ("040319", "100120")])
def test_tumors_of_two_dates_are_not_joined(tmp_path: Path, dates: tuple[str, str]) -> None:
    keys = segment(0, f"Tumor {dates[0]}", 1) | segment(1, f"Tumor {dates[1]}", 2)
    assert "do not say clearly which is the tumor" in refused(tmp_path, header(keys=keys) + TUMOR.tobytes("F"))


def of_mitk(*groups: Sequence[tuple[str, int]]) -> dict[str, str]:
    labels = [{"labels": [{"name": name, "value": value} for name, value in group]} for group in groups]
    return {"org.mitk.multilabel.segmentation.labelgroups": json.dumps(labels)}


def test_of_mitks_labels_the_tumors_is_read(tmp_path: Path) -> None:
    """A ventricle beside it counted as tumor."""
    voxels = TUMOR * np.uint8(2)
    voxels[0, 0] = 1
    data = header(keys=of_mitk([("Ventricle", 1), ("Tumor", 2)])) + voxels.tobytes("F")
    np.testing.assert_array_equal(read_bytes(tmp_path, data).is_tumor, TUMOR)
    np.testing.assert_array_equal(read_bytes(tmp_path, data, "ventricle").is_tumor, voxels == 1)
    layers = np.stack([np.ones_like(TUMOR, np.uint8), TUMOR.astype(np.uint8)])
    data = header((2, *SHAPE), keys=of_mitk([("Brain", 1)], [("Lesion", 1)])) + layers.tobytes("F")
    np.testing.assert_array_equal(read_bytes(tmp_path, data).is_tumor, TUMOR)


@pytest.mark.parametrize("said", ["", "7", "[7]", '[{"labels": [{"name": "a"}]}]', '[{"labels": 7}]', "[" * 9999])
def test_mitks_labels_that_cannot_be_read_are_refused(tmp_path: Path, said: str) -> None:
    keys = {"org.mitk.multilabel.segmentation.labelgroups": said}
    assert "labels of MITK cannot be read" in refused(tmp_path, header(keys=keys) + TUMOR.tobytes("F"))
