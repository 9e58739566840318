"""NIfTI in the sandbox: what is read, and an answer in one sentence for what is not."""

import gzip
import io
import zlib

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from ml.scans import Limits, ScanError
from ml.scans.readers import nifti
from tests.support import volume_files

SHAPE = (20, 24, 18)
AFFINE = volume_files.affine_of("LPS", (8.0, 8.0, 8.0), SHAPE)
VOXELS = volume_files.head(AFFINE, SHAPE)


def pixels(tmp_path, data: bytes) -> np.ndarray:
    (tmp_path / "volume").write_bytes(data)
    return nifti.read(tmp_path / "volume", Limits()).pixels


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_packed", [True, False])
def test_both_versions_are_read_packed_and_not(decode, version, is_packed):
    decoded = decode(volume_files.nifti(VOXELS, AFFINE, version=version, is_packed=is_packed))
    assert (decoded.format, decoded.slice_count, decoded.height, decoded.width) == ("nifti", 18, 24, 20)
    assert decoded.grid.shape == SHAPE
    assert decoded.warnings == ("head_scaled", "gray_repeated")


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">i2", "<i4", ">u4", "<i8", ">f4", "<f8"])
def test_every_type_of_number_shows_the_same(tmp_path, dtype):
    voxels = VOXELS // 9
    expected = pixels(tmp_path, volume_files.nifti(voxels.astype("<i2"), AFFINE))
    header = nibabel.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    data = nibabel.Nifti1Image(voxels.astype(dtype), AFFINE, header, dtype=np.dtype(dtype)).to_bytes()
    assert np.array_equal(pixels(tmp_path, data), expected)


def test_slope_and_intercept_are_applied_and_change_no_picture(tmp_path):
    plain = pixels(tmp_path, volume_files.nifti(VOXELS, AFFINE))
    scaled = pixels(tmp_path, volume_files.nifti(VOXELS, AFFINE, scl_slope=0.25, scl_inter=-300))
    assert np.array_equal(plain, scaled)
    negative = pixels(tmp_path, volume_files.nifti(1000 - VOXELS, AFFINE, scl_slope=-1, scl_inter=1000))
    assert np.array_equal(plain, negative)


def test_the_scale_is_of_the_head_whatever_surrounds_it(tmp_path):
    stripped = np.zeros((60, 64, 50), np.int16)
    stripped[20:40, 20:44, 16:34] = VOXELS
    stripped[25:30, 25:30, 20] = -40  # interpolation leaves negative values in skull-stripped volumes
    found = pixels(tmp_path, volume_files.nifti(stripped, AFFINE))
    plain = pixels(tmp_path, volume_files.nifti(VOXELS, AFFINE))
    assert abs(int(np.median(found[found > 5])) - int(np.median(plain[plain > 5]))) <= 1


def test_values_on_the_training_datas_scale_are_taken_as_they_are(tmp_path):
    voxels = np.where(VOXELS == volume_files.TUMOR, 160, VOXELS // 2).astype(np.int16)  # 0, 50, 160
    assert set(np.unique(pixels(tmp_path, volume_files.nifti(voxels, AFFINE)))) == {0, 50, 160}
    assert set(np.unique(pixels(tmp_path, volume_files.nifti(voxels * 20, AFFINE)))) != {0, 50, 160}


def test_one_slice_and_a_fourth_axis_of_one_are_volumes(decode):
    assert decode(volume_files.nifti(VOXELS[..., :1], AFFINE)).slice_count == 1
    assert decode(volume_files.nifti(VOXELS[..., None], AFFINE)).slice_count == 18
    assert decode(volume_files.nifti(VOXELS[..., None, None], AFFINE)).slice_count == 18


def test_units_become_millimeters(decode):
    meters = AFFINE.copy()
    meters[:3] /= 1000
    image = nibabel.Nifti1Image(VOXELS, meters)
    image.header.set_xyzt_units("meter")
    assert decode(image.to_bytes()).spacing_mm == pytest.approx((8.0, 8.0, 8.0))


def test_two_positions_that_differ_are_said_and_the_sform_counts(decode):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(AFFINE, 1)
    moved = AFFINE.copy()
    moved[0, 3] += 5
    image.set_qform(moved, 1)
    decoded = decode(image.to_bytes())
    assert "forms_differ" in decoded.warnings
    assert decoded.grid.affine[0][3] == pytest.approx(AFFINE[0, 3])
    image.set_qform(AFFINE, 1)
    assert "forms_differ" not in decode(image.to_bytes()).warnings


def test_a_header_without_position_says_that_one_is_assumed(decode):
    image = nibabel.Nifti1Image(VOXELS, None)
    image.header.set_zooms((8, 8, 8))
    decoded = decode(image.to_bytes())
    assert "orientation_assumed" in decoded.warnings
    assert decoded.spacing_mm == (8.0, 8.0, 8.0)


SERIES = np.repeat(VOXELS[..., None], 3, axis=3)
SINGULAR, SHEARED = AFFINE.copy(), AFFINE.copy()
SINGULAR[:3, 1] = SINGULAR[:3, 0]
SHEARED[0, 1] = 2.0
FLAT = AFFINE.copy()
FLAT[:3, 2] = 0
WITH_NAN = VOXELS.astype(np.float32)
WITH_NAN[3, 4, 5] = np.nan
RGB = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])


def with_affine(affine):
    return volume_files.nifti(
        VOXELS, AFFINE, sform_code=1, qform_code=0, srow_x=affine[0], srow_y=affine[1], srow_z=affine[2]
    )


OF_ONE_SLICE = np.diag([1.0, 1.0, 999.0, 1.0])  # as nnU-Net converts pictures

BAD = {
    "a series of volumes": (volume_files.nifti(SERIES, AFFINE), "series of volumes"),
    "five axes": (volume_files.nifti(SERIES[..., None, :], AFFINE), "series of volumes"),
    "voxels of 0 mm": (with_affine(FLAT), "0 mm"),
    "voxels of half a meter": (with_affine(AFFINE * 60), "correct the header"),
    "a single slice at no place": (volume_files.nifti(VOXELS[..., :1], OF_ONE_SLICE), "give it as a picture"),
    "a singular affine": (with_affine(SINGULAR), "singular"),
    "an affine with a shear": (with_affine(SHEARED), "right angles"),
    "an affine with NaN": (with_affine(AFFINE * np.nan), "NaN"),
    "NaN voxels": (volume_files.nifti(WITH_NAN, AFFINE), "NaN"),
    "colors": (volume_files.nifti(RGB, AFFINE), "colors"),
    "complex numbers": (volume_files.nifti(VOXELS.astype(np.complex64), AFFINE), "complex"),
    "an unknown type": (volume_files.nifti(VOXELS, AFFINE, datatype=77), "type"),
    "no dimension": (volume_files.nifti(VOXELS, AFFINE, dim=[0, 0, 0, 0, 0, 0, 0, 0]), "dimensions"),
    "a negative size": (volume_files.nifti(VOXELS, AFFINE, dim=[3, -20, 24, 18, 1, 1, 1, 1]), "dimensions"),
    "a size of zero": (volume_files.nifti(VOXELS, AFFINE, dim=[3, 20, 0, 18, 1, 1, 1, 1]), "dimensions"),
    "eight dimensions": (volume_files.nifti(VOXELS, AFFINE, dim=[9, 20, 24, 18, 1, 1, 1, 1]), "dimensions"),
    "voxels within the header": (volume_files.nifti(VOXELS, AFFINE, vox_offset=8), "begin"),
    "voxels beyond the end": (volume_files.nifti(VOXELS, AFFINE, vox_offset=1e6), "cut"),
    "voxels at no number": (volume_files.nifti(VOXELS, AFFINE, vox_offset=np.nan), "begin"),
    "a bad quaternion": (volume_files.nifti(VOXELS, AFFINE, quatern_b=9, qform_code=1, sform_code=0), "orientation"),
    "half of a pair": (volume_files.nifti(VOXELS, AFFINE, magic=b"ni1"), "pair"),
    "a cut file": (volume_files.nifti(VOXELS, AFFINE, is_packed=False)[:-100], "cut"),
    "a cut gzip file": (volume_files.nifti(VOXELS, AFFINE)[:-100], "cut"),
    "a gzip header alone": (gzip.compress(b"")[:12], "cut"),
    "a damaged gzip file": (volume_files.nifti(VOXELS, AFFINE)[:-6] + b"\xff\xff\xff\xff\xff\xff", "damaged"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_volume_is_unreadable_and_says_why(refuse, name):
    data, word = BAD[name]
    error = refuse(data)
    assert error.code == "unreadable"
    assert word in error.message


def test_too_small_and_too_large_volumes_are_told_apart(refuse):
    assert refuse(volume_files.nifti(VOXELS[:12], AFFINE)).code == "too_small"
    assert refuse(volume_files.nifti(VOXELS, AFFINE, dim=[3, 200, 240, 2000, 1, 1, 1, 1])).code == "limit"
    assert refuse(volume_files.nifti(VOXELS, AFFINE, dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])).code == "limit"


def test_another_thing_in_gzip_is_no_volume(refuse):
    assert refuse(gzip.compress(b"some text that is long enough to be looked at")).code == "unsupported"


def bomb(volume: bytes, mebibytes: int) -> bytes:
    """A volume with zeros behind it, in one gzip stream."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(2**20)
    return packer.compress(volume) + b"".join(packer.compress(zeros) for _ in range(mebibytes)) + packer.flush()


def test_a_gzip_bomb_costs_what_its_header_admits_to(tmp_path):
    import resource

    data = bomb(volume_files.nifti(VOXELS, AFFINE, is_packed=False), 900)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert pixels(tmp_path, data).shape == (18, 24, 20, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("tail", [b"\r\n--boundary--\r\n", b"x", bytes(512)])
def test_bytes_behind_a_gzip_stream_are_nobodys(tmp_path, tail):
    """As `gzip -d` has it; the stream's own checksum counts all the same."""
    whole = volume_files.nifti(VOXELS, AFFINE)
    np.testing.assert_array_equal(pixels(tmp_path, whole + tail), pixels(tmp_path, whole))
    with pytest.raises(ScanError, match="cut or damaged"):
        pixels(tmp_path, whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:] + tail)


@pytest.mark.parametrize("stored", ["uint8", "int16", "int32"])
def test_labels_that_nibabel_stored_with_a_slope_are_whole_numbers(tmp_path, stored):
    """It does so where an array of real numbers is written under the header of whole ones."""
    labels = volume_files.tumor(AFFINE, SHAPE) * np.arange(SHAPE[0])[:, None, None] % 5
    image = nibabel.Nifti1Image(labels.astype(np.float32), AFFINE)
    image.set_data_dtype(stored)
    (tmp_path / "mask").write_bytes(image.to_bytes())
    assert (nibabel.Nifti1Image.from_bytes(image.to_bytes()).get_fdata() != labels).any()
    found = nifti.read_label_volume(tmp_path / "mask", Limits())
    assert found.has_labels
    np.testing.assert_array_equal(found.is_tumor, labels > 0)


def test_what_interpolation_leaves_in_labels_is_no_rounding(tmp_path):
    soft = volume_files.tumor(AFFINE, SHAPE).astype(np.float32)
    soft[1:] = (soft[1:] + soft[:-1]) / 2
    image = nibabel.Nifti1Image(soft, AFFINE)
    image.set_data_dtype(np.uint8)
    (tmp_path / "mask").write_bytes(image.to_bytes())
    assert not nifti.read_label_volume(tmp_path / "mask", Limits()).has_labels


def test_what_is_packed_twice_is_told_to_be_unpacked_once(refuse):
    error = refuse(gzip.compress(volume_files.nifti(VOXELS, AFFINE)))
    assert error.message == "The file is packed with gzip twice: unpack it once (`gunzip`)."


@pytest.mark.parametrize("highest", [100, 255])
def test_shades_that_interpolation_leaves_in_whole_numbers_are_no_labels(tmp_path, highest):
    """A mask of 0 and 255 that was brought onto another grid as a picture is: its rim would count as tumor unsaid."""
    i, j, k = np.ogrid[:80, :80, :20]
    drawn = highest * ((i - 30) ** 2 + (j - 28) ** 2 / 2 + 9 * (k - 8) ** 2 < 100).astype(np.float32)
    soft = ndimage.affine_transform(drawn, np.diag([0.83, 0.87, 0.9]), (0.3, 0.4, 0.2), order=1)
    (tmp_path / "mask").write_bytes(volume_files.nifti(soft.astype(np.uint8), np.diag([1.0, 1.0, 3.0, 1.0])))
    assert not nifti.read_label_volume(tmp_path / "mask", Limits()).has_labels


def test_a_label_for_each_of_many_lesions_is_no_shade(tmp_path):
    places = np.argwhere(np.ones((6, 6, 2)))
    labels = np.zeros((48, 48, 12), np.uint8)
    for number, (i, j, k) in enumerate(places, start=1):
        labels[8 * i + 1 : 8 * i + 4, 8 * j + 1 : 8 * j + 3 + number % 3, 6 * k + 1 : 6 * k + 3] = number
    (tmp_path / "mask").write_bytes(volume_files.nifti(labels, np.diag([1.0, 1.0, 3.0, 1.0])))
    found = nifti.read_label_volume(tmp_path / "mask", Limits())
    assert found.has_labels and np.unique(labels).size == 73
    np.testing.assert_array_equal(found.is_tumor, labels > 0)


def test_a_bomb_that_admits_to_it_is_a_limit(refuse):
    head = volume_files.nifti(VOXELS, AFFINE, is_packed=False, dim=[3, 1024, 1024, 1000, 1, 1, 1, 1])[:352]
    data = bomb(head, 900)
    assert refuse(data).code == "limit"
    assert refuse(data[:2000]).code == "limit"


def test_extensions_of_the_header_are_passed_over(decode):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 4000))
    file = io.BytesIO(image.to_bytes())
    assert decode(file.getvalue()).slice_count == 18
