"""Siemens mosaics and enhanced objects beside what dcm2niix made of them, in millimeters."""

import struct
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from ml.scans import Limits, ScanError
from ml.scans.readers.dicom.instances import read_instance
from ml.scans.readers.dicom.reader import read_series
from ml.scans.readers.dicom.series import sort_files
from ml.scans.readers.nifti import read as read_nifti
from tests.support import dicom_files, volume_files
from tests.support.volume_files import affine_of

SHAPE = (20, 24, 7)
OF_REFERENCES = {
    "mosaic/ax-ascending-35": "mosaic-ax",
    "mosaic/cor-ascending-35": "mosaic-cor",
    "mosaic/sag-ascending-35": "mosaic-sag",
    "compressed/jpeg-lossless": "compressed-25-fMRI_MB_asc",
    "compressed/jpeg2000-lossless": "compressed-26-fMRI_MB_int",
}


def csa(**values: list[str]) -> bytes:
    """A CSA header with these elements."""
    data = b"SV10\4\3\2\1" + struct.pack("<II", len(values), 77)
    for name, texts in values.items():
        data += struct.pack("<64si4s3i", name.encode(), len(texts), b"DS\0\0", 4, len(texts), 77)
        for text in texts:
            item = text.encode() + b"\0"
            data += struct.pack("<4i", len(item), len(item), 77, len(item)) + item + bytes(-len(item) % 4)
    return data


def mosaic(voxels: np.ndarray, affine: np.ndarray, header: bytes | None) -> bytes:
    """A volume (i, j, k) as one picture of 3 x 3 tiles, as Siemens writes it."""
    columns, rows, count = voxels.shape
    picture = np.zeros((3 * rows, 3 * columns), np.uint16)
    for k in range(count):
        top, left = rows * (k // 3), columns * (k % 3)
        picture[top : top + rows, left : left + columns] = voxels[:, :, k].T
    corner = affine.copy()  # of a slice as large as the picture, around the same middle
    corner[:3, 3] -= affine[:3, 0] * columns + affine[:3, 1] * rows
    data = dicom_files.image(
        picture, corner, 0, "1.2.3", ExplicitVRLittleEndian, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    )
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    if header is not None:
        dataset.add_new((0x0029, 0x0010), "LO", "SIEMENS CSA HEADER")
        dataset.add_new((0x0029, 0x1010), "OB", header)
    return dicom_files.written(dataset)


def layout(affine: np.ndarray, count: int = SHAPE[2]) -> bytes:
    normal = affine[:3, 2] / np.linalg.norm(affine[:3, 2]) * [-1, -1, 1]
    return csa(NumberOfImagesInMosaic=[str(count)], SliceNormalVector=[f"{value:.8f}" for value in normal])


@pytest.mark.parametrize("orientation", ["LPS", "LPI", "PSL", "PSR"])
def test_a_mosaic_is_the_volume_of_its_tiles(tmp_path: Path, orientation: str) -> None:
    affine = affine_of(orientation, (8.0, 8.0, 20.0), SHAPE)
    voxels = volume_files.head(affine, SHAPE, "uint16")
    (tmp_path / "mosaic.dcm").write_bytes(mosaic(voxels, affine, layout(affine)))
    (tmp_path / "plain.nii").write_bytes(volume_files.nifti(voxels.astype("int16"), affine, is_packed=False))
    found = read_series([tmp_path / "mosaic.dcm"], Limits())
    plain = read_nifti(tmp_path / "plain.nii", Limits())
    assert np.array_equal(found.pixels, plain.pixels)
    assert found.geometry == plain.geometry
    assert found.grid is not None and plain.grid is not None


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"SV10",
        b"x" * 200,
        layout(np.eye(4), 1),
        layout(np.eye(4), 100_000),
        layout(np.eye(4))[:-40],
        csa(NumberOfImagesInMosaic=["7"], SliceNormalVector=["0", "0", "0"]),
        csa(NumberOfImagesInMosaic=["seven"]),
    ],
    ids=["none", "cut", "noise", "one slice", "too many", "cut inside", "no direction", "no number"],
)
def test_a_mosaic_that_does_not_say_how_it_lies_is_refused_by_name(tmp_path: Path, header: bytes | None) -> None:
    affine = affine_of("LPS", (8.0, 8.0, 9.0), SHAPE)
    path = tmp_path / "mosaic.dcm"
    path.write_bytes(mosaic(volume_files.head(affine, SHAPE, "uint16"), affine, header))
    with pytest.raises(ScanError, match="is a mosaic, many slices in one picture"):
        read_instance(path, Limits())


def test_many_volumes_of_a_series_are_a_film(tmp_path: Path) -> None:
    affine = affine_of("LPS", (8.0, 8.0, 9.0), SHAPE)
    path = tmp_path / "mosaic.dcm"
    path.write_bytes(mosaic(volume_files.head(affine, SHAPE, "uint16"), affine, layout(affine)))
    one = read_instance(path, Limits())
    assert sort_files([one] * 8) == [[place] for place in range(8)]
    film = [replace(one, instance_uid=str(number)) for number in range(9)]
    assert sort_files(film) == [list(range(9))]  # one that is refused, with a sentence of several pictures a position


@pytest.mark.data
@pytest.mark.parametrize("name", list(OF_REFERENCES))
def test_real_mosaics_lie_where_dcm2niix_puts_them(real_data: Path, name: str) -> None:
    found = read_series([real_data / "dicom" / f"{name}.dcm"], Limits())
    reference = real_data / "dicom" / "reference" / f"{OF_REFERENCES[name]}.nii.gz"
    judge = read_nifti(reference, Limits())
    assert found.grid is not None and judge.grid is not None
    assert found.grid.axial_shape == judge.grid.axial_shape
    assert found.pixels.shape == judge.pixels.shape
    # The same axial slices, at the same places: whatever the order in which each file stores them.
    assert np.array_equal(found.pixels, judge.pixels)
    for corner in (0.0, 1.0):
        places = []
        for grid in (found.grid, judge.grid):
            index = [0.0, 0.0, 0.0, 1.0]
            for item in grid.axial:
                size = grid.shape[item.axis] - 1
                index[item.axis] = size * (1 - corner) if item.is_turned else size * corner
            places.append((grid.matrix @ index)[:3])
        np.testing.assert_allclose(places[0], places[1], atol=0.01)
    assert nibabel.load(reference).shape[:3] == judge.grid.shape
