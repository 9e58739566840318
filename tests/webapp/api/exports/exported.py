"""Series with results, their DICOM objects, and where in the patient other readers put the voxels of these."""

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian
from sqlalchemy import update

from tests.support import dicom_files, volume_files
from tests.support.dicom_judges import errors_of
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, named, result
from tests.webapp.clients import SCANS, resources_of
from webapp.domain.scans.models import Segmentation, Verdict

STUDY = "1.2.826.0.1.3680043.8.498.77"


def add_series(app: Flask, affine: NDArray = AFFINE, voxels: NDArray | None = None) -> tuple[dict[str, Any], list[str]]:
    """A scan with a result, and the UIDs of its instances in their order."""
    voxels = volume_files.head(affine, SHAPE, "uint16") if voxels is None else voxels
    files = dicom_files.series(voxels, affine, StudyInstanceUID=STUDY)
    uids = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(data)).SOPInstanceUID for data in files]
    return result(app, *named(files)), uids


def exported(
    client: FlaskClient, scan: dict[str, Any], kind: str, folder: Path, query: str = ""
) -> tuple[Path, Dataset]:
    path = folder / f"{kind}.dcm"
    path.write_bytes(sent_bytes(client, scan, kind, query))
    assert errors_of(path) == []
    return path, pydicom.dcmread(path)


def sent_bytes(client: FlaskClient, scan: dict[str, Any], kind: str, query: str = "") -> bytes:
    with client.get(f"{SCANS}/{scan['id']}/{kind}.dcm{query}") as response:
        assert response.status_code == 200, response.json
        assert response.mimetype == "application/dicom"
        return response.data


def enhanced(affine: NDArray, voxels: NDArray, *, is_shared: bool = True) -> tuple[bytes, str]:
    """A series as one file of several frames (enhanced MR), the last slice first, and its instance's UID.

    is_shared: directions and sizes of pixels stand once; scanners write them with every frame.
    """
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    count = voxels.shape[2]
    dataset = dicom_files.blank(EnhancedMRImageStorage, ExplicitVRLittleEndian)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = STUDY, f"{STUDY}.1", "MR"
    dataset.FrameOfReferenceUID, dataset.InstanceNumber = f"{STUDY}.2", 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = count, voxels.shape[1], voxels.shape[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])]
    measures.PixelSpacing, measures.SliceThickness = [spacing[1], spacing[0]], spacing[2]
    shared = Dataset()
    if is_shared:
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in reversed(range(count)):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [float(value) for value in lps[:3] @ [0, 0, k, 1]]
        group.PlanePositionSequence = [position]
        if not is_shared:
            group.PlaneOrientationSequence, group.PixelMeasuresSequence = [orientation], [measures]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = np.ascontiguousarray(voxels[:, :, ::-1].transpose(2, 1, 0)).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dicom_files.written(dataset), str(dataset.SOPInstanceUID)


def judged(app: Flask, verdict: Verdict, *codes: str) -> None:
    """Every run with this verdict and these warnings."""
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(verdict=verdict, warnings=list(codes)))


def points(affine: NDArray, mask: NDArray[np.bool]) -> NDArray:
    """The centers of a mask's voxels in mm (RAS), sorted."""
    return ordered(np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3])


def points_of(image: SimpleITK.Image) -> NDArray:
    """Of an image's voxels above 0."""
    image = image[..., 0] if image.GetDimension() == 4 else image
    places = np.argwhere(SimpleITK.GetArrayViewFromImage(image) > 0)[:, ::-1]
    lps = [image.TransformIndexToPhysicalPoint(place.tolist()) for place in places]
    return ordered(np.array(lps) * [-1, -1, 1])


def points_of_highdicom(read: highdicom.seg.Segmentation) -> NDArray:
    volume = read.get_volume(combine_segments=True)
    places = np.argwhere(volume.array > 0)
    return ordered(volume.map_indices_to_reference(places) * [-1, -1, 1])


def ordered(found: NDArray) -> NDArray:
    found = np.round(found, 3) + 0.0
    return found[np.lexsort(found.T)]
