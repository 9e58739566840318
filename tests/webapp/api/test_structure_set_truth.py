"""PUT /api/v1/scans/{id}/truth with an RTSTRUCT, and with a SEG of several segments."""

from copy import deepcopy
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from werkzeug.test import TestResponse

from tests.support import volume_files
from tests.support.structure_sets import Outline, box, structure_set
from tests.webapp.api.exports.exported import add_series, sent_bytes
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE
from tests.webapp.api.test_segmentation_truth import changed
from tests.webapp.clients import SCANS, token

INSIDE, RING = box(6.5, 6.5, 16.5, 16.5), box(8.5, 8.5, 10.5, 10.5)


def put(client: FlaskClient, scan: dict[str, Any], data: bytes, *regions: str) -> TestResponse:
    form = {"file": (BytesIO(data), "plan.dcm"), "region": list(regions)}
    return client.put(f"{SCANS}/{scan['id']}/truth", data=form, content_type="multipart/form-data")


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSL"])
@pytest.mark.parametrize("has_holes", [False, True], ids=["plain", "holes"])
def test_our_own_export_put_back_is_the_same_mask(
    app: Flask, client: FlaskClient, orientation: str, has_holes: bool
) -> None:
    affine = volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE)
    voxels = volume_files.head(affine, SHAPE, "uint16")
    if has_holes:
        tumor = volume_files.tumor(affine, SHAPE)
        steps = [(column, row) for column in (-1, 0, 1) for row in (-1, 0, 1)]
        around = np.logical_and.reduce([np.roll(tumor, step, (0, 1)) for step in steps])
        voxels[tuple(np.argwhere(around)[0])] = volume_files.HEAD
    scan, _ = add_series(app, affine, voxels)
    data = sent_bytes(client, scan, "rtstruct")
    assert (b"CLOSEDPLANAR_XOR" in data) == has_holes
    answer = put(client, scan, data)
    assert answer.status_code == 200, answer.json
    assert answer.json["agreement"]["dice"] == 1.0
    assert answer.json["truth"]["filename"] == "plan.dcm"
    assert "mask_on_another_grid" not in answer.json["truth"]["findings"]


def test_a_regions_name_is_asked_for_and_taken(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    data = structure_set(AFFINE, [("anna", [Outline(INSIDE, 9)]), ("ben", [Outline(RING, 9)])])
    refused = put(client, scan, data)
    assert refused.status_code == 422 and "2 regions (anna, ben)" in refused.json["message"], refused.json
    assert put(client, scan, data, "carl").status_code == 422
    assert put(client, scan, data, "x" * 65).status_code == 422
    taken = put(client, scan, data, "BEN")
    assert taken.status_code == 200, taken.json
    assert sum(item["truth_pixels"] for item in taken.json["agreement"]["slices"]) == 4


def test_the_form_of_the_page_has_the_region(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    data = structure_set(AFFINE, [("anna", [Outline(INSIDE, 9)]), ("ben", [Outline(RING, 9)])])
    assert b'name="region"' in client.get(f"/scans/{scan['id']}").data
    form = {"file": (BytesIO(data), "plan.dcm"), "region": " ben ", "csrf_token": token(client)}
    answer = client.post(f"/scans/{scan['id']}/truth", data=form, content_type="multipart/form-data")
    assert answer.status_code == 303
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"]["filename"] == "plan.dcm"


def test_outlines_between_slices_say_that_they_lie_on_another_grid(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    outlines = [Outline(INSIDE, 9.25 + 0.5 * step) for step in range(4)]
    answer = put(client, scan, structure_set(AFFINE, [("GTV", outlines)]))
    assert answer.status_code == 200, answer.json
    assert "mask_on_another_grid" in {finding["code"] for finding in answer.json["truth"]["findings"]}


def test_a_structure_set_of_another_frame_is_refused_and_nothing_changes(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)

    def elsewhere(dataset: Dataset) -> None:
        dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = generate_uid()

    refused = put(client, scan, changed(sent_bytes(client, scan, "rtstruct"), elsewhere))
    assert refused.status_code == 422 and "another frame of reference" in refused.json["message"]
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None


def test_the_tumors_segment_of_several_is_taken(app: Flask, client: FlaskClient) -> None:
    """Frames alternate between the first segment and the second."""
    scan, _ = add_series(app)
    whole = sent_bytes(client, scan, "segmentation")
    frames = int(pydicom.dcmread(BytesIO(whole)).NumberOfFrames)

    def split(labels: tuple[str, str]):
        def change(dataset: Dataset) -> None:
            first = dataset.SegmentSequence[0]
            second = deepcopy(first)
            first.SegmentLabel, second.SegmentLabel, second.SegmentNumber = *labels, 2
            dataset.SegmentSequence = [first, second]
            for place, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
                own = Dataset()
                own.ReferencedSegmentNumber = 1 + place % 2
                group.SegmentIdentificationSequence = [own]

        return changed(whole, change)

    def slices(answer: TestResponse) -> int:
        assert answer.status_code == 200, answer.json
        return sum(item["truth_pixels"] > 0 for item in answer.json["agreement"]["slices"])

    assert slices(put(client, scan, split(("Tumor", "Brain")))) == -(-frames // 2)
    assert slices(put(client, scan, split(("a", "b")), "b")) == frames // 2
    both = put(client, scan, split(("a", "b")), "a", "b")
    assert slices(both) == frames and both.json["agreement"]["dice"] == 1.0
    refused = put(client, scan, split(("a", "b")))
    assert refused.status_code == 422 and "2 regions (a, b)" in refused.json["message"]
