"""One patient as DICOM, NIfTI in four orientations, multi-page TIFF and zip of slices: one volume, the same masks."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray
from PIL import Image

from ml.engines import Engine, load_engine
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import measure
from tests.support import dicom_files, shipped_model, volume_files
from tests.support.jobs import claim_segmentation
from tests.webapp.clients import SCANS, resources_of, send
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.segmentations import RunFacts
from webapp.domain.storage.arrays import read_array, write_array
from webapp.domain.storage.keys import map_key, stack_key

pytestmark = [pytest.mark.data, pytest.mark.long]

PATIENT = "TCGA_CS_5393_19990606"
SPACING_MM = (0.9, 0.9, 5.5)
FLAIR = 1


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(shipped_model.FOLDER, "openvino")


def slices(real_data: Path) -> list[NDArray[np.uint8]]:
    """The patient's FLAIR, from the feet up, uint8 (H, W) each."""
    files = sorted((real_data / "lgg" / PATIENT).glob("*.webp"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [np.asarray(Image.open(path).convert("RGB"))[..., FLAIR] for path in files]


def forms(stack: list[NDArray[np.uint8]]) -> dict[str, list[tuple[str, bytes]]]:
    """The files of each form."""
    voxels = np.stack([page.T for page in stack], axis=2).astype(np.int16)  # (column, row, slice)
    affine = volume_files.affine_of("LPS", SPACING_MM, voxels.shape)
    tilted = volume_files.oblique((8.0, -6.0, 10.0), SPACING_MM, voxels.shape) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    image = nibabel.Nifti1Image(voxels, affine)

    def turned(codes: str) -> bytes:
        change = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
        return gzip.compress(image.as_reoriented(change).to_bytes(), 1)

    tiff, packed = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(tiff, np.stack(stack), photometric="minisblack")
    with zipfile.ZipFile(packed, "w") as archive:
        for number, page in enumerate(stack, start=1):
            file = io.BytesIO()
            Image.fromarray(page).save(file, "png")
            archive.writestr(f"{PATIENT}_{number}.png", file.getvalue())
    series = dicom_files.series(voxels.astype(np.uint16), affine, SeriesDescription="ax flair")
    return {
        "zip of slices": [("patient.zip", packed.getvalue())],
        "multi-page TIFF": [("patient.tif", tiff.getvalue())],
        "DICOM series": [(f"patient/IM{9973 * k % 1000}", data) for k, data in enumerate(series)],
        "NIfTI, axial": [("patient_flair.nii.gz", turned("LPS"))],
        "NIfTI, stored sagittal": [("patient_flair.nii.gz", turned("PSR"))],
        "NIfTI, flipped": [("patient_flair.nii.gz", turned("RAI"))],
        "NIfTI, oblique": [("patient_flair.nii.gz", gzip.compress(nibabel.Nifti1Image(voxels, tilted).to_bytes(), 1))],
    }


def run(resources: Resources, engine: Engine, segmentation_id: str) -> None:
    """The job, as a worker does it."""
    claimed = claim_segmentation(resources, segmentation_id)
    assert claimed is not None
    claim, work = claimed
    found = engine.infer(np.asarray(read_array(resources.storage, stack_key(work.scan_id))))
    q = found.probability_u8
    key = map_key(work.scan_id, claim.id, claim.attempt)
    write_array(resources.storage, key, q)
    rule = rule_on_grid(engine.card, engine.card.threshold, *q.shape[1:])
    measures = measure(q, apply_rule(q, rule, is_stack=True), None)
    facts = RunFacts(key, "test", engine.card.version, rule.min_tumor_pixels, None, {})
    assert segmentations.complete(resources, claim, measures, facts)


def test_one_patient_has_one_tumor_whatever_the_format(
    app: Flask, client: FlaskClient, engine: Engine, real_data: Path, figure: Callable[[str], None]
) -> None:
    resources = resources_of(app)
    stack = slices(real_data)
    masks: dict[str, NDArray] = {}
    volumes: dict[str, float | None] = {}
    for name, files in forms(stack).items():
        answer = send(client, *files, form={"group": "auto", "threshold": str(engine.card.threshold)})
        assert answer.status_code == 202, (name, answer.json)
        [scan] = answer.json["scans"]
        run(resources, engine, scan["segmentation"]["id"])
        done = client.get(f"{SCANS}/{scan['id']}").json
        volumes[name] = done["segmentation"]["volume_ml"]
        with client.get(f"{SCANS}/{scan['id']}/mask.tif") as response:
            of_stack = tifffile.imread(io.BytesIO(response.data)) > 0  # (N, H, W)
        masks[name] = of_stack
        if not done["geometry"]:
            continue
        with client.get(f"{SCANS}/{scan['id']}/mask.nii.gz") as response:
            image = nibabel.Nifti1Image.from_bytes(gzip.decompress(response.data))
        if name != "NIfTI, oblique":
            image = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt("LPS")))
        back = np.asarray(image.dataobj).transpose(2, 1, 0) > 0  # (slice, row, column)
        assert np.array_equal(back, of_stack), name
        assert done["segmentation"]["volume_ml"] == pytest.approx(back.sum() * np.prod(SPACING_MM) / 1000, rel=0.005)
    first = masks["zip of slices"]
    assert first.sum() > 1000
    for name, mask in masks.items():
        volume = volumes[name]
        ml = "no mm" if volume is None else f"{volume:.2f} ml"
        differing = int((mask != first).sum())
        figure(
            f"{PATIENT} as {name}: {int(mask.sum()):,} voxels of tumor, {ml}, {differing} voxels differ from the zip"
        )
        assert abs(int(mask.sum()) - int(first.sum())) <= 0.005 * first.sum(), name
        assert differing <= 0.005 * first.sum(), name
