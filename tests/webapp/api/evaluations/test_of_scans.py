"""An evaluation of scans that lie in the portal with their experts' masks."""

import io

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from ml.datasets.mask_findings import MASK_FINDINGS
from ml.datasets.time_points import person_of
from tests.support import volume_files
from tests.support.evaluations import run_all
from tests.support.jobs import run_segmentation
from tests.webapp.api.test_truth import drawn, half, head, png, put, stack_of
from tests.webapp.clients import SCANS, send, sent, token
from tests.webapp.evaluation_calls import PATH, left_over
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime


def sent_alone(client: FlaskClient, name: str, study: str, mask: np.ndarray | None) -> dict:
    files = [(name, png(head(len(name))))] + ([(name.replace(".", "_mask."), png(mask))] if mask is not None else [])
    [scan] = send(client, *files, form={"study": study}).json["scans"]
    return scan


def test_a_study_is_evaluated_where_its_scans_have_masks(
    app: Flask, client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    stack = stack_of(app, client, ("p/s_3_mask.png", png(drawn())), ("p/s_1_mask.png", png(half())))
    assert client.patch(f"{SCANS}/{stack['id']}", json={"study": "Cohort"}).status_code == 200
    for name, mask in (("P12_9.png", half()), ("P12_10.png", drawn()), ("without.png", None)):
        sent_alone(client, name, "Cohort", mask)
    study = client.get(f"{SCANS}/{stack['id']}").json["study"]
    for page in (f"/scans?study={study['id']}", f"/scans/{stack['id']}"):
        assert f'name="study" value="{study["id"]}"' in client.get(page).text

    response = client.post(PATH, json={"study": study["id"], "threshold": 0.5})

    assert response.status_code == 202, response.json
    assert (response.json["name"], response.json["filename"]) == ("Cohort", "3 scans of the portal")
    done = run_all(runtime, response.json["id"])
    cases = client.get(f"{PATH}/{done.id}/cases").json["cases"]
    # Of the stack a slice has no mask, which a model that looks at neighbors misses.
    assert f"({MASK_FINDINGS['mask_neighbors_left_out'].phrase}: 2)" in (done.headline or "")
    images = [case["image"].rpartition("/")[2] for case in cases]
    assert images == ["P12_9.png", "P12_10.png", "p s_1.png", "p s_3.png"]
    assert [case["truth_pixels"] for case in cases] == [64, 64, 64, 64]
    assert {case["patient"] for case in cases} == {"p s", "P12"}
    assert client.get(f"{PATH}/{done.id}/cases/0/scan.png").status_code == 200
    client.delete(f"{SCANS}/{stack['id']}")  # what was evaluated stays
    assert client.get(f"{PATH}/{done.id}/cases/0/scan.png").status_code == 200


@pytest.mark.parametrize("is_stack_first", [True, False])
def test_a_stack_is_a_patient_of_its_own_in_whatever_order_scans_are_named(
    app: Flask, client: FlaskClient, resources: Resources, runtime: Runtime, is_stack_first: bool
) -> None:
    """Its slices were not sent with the single ones that have its name."""
    stack = stack_of(app, client, ("p/s_3_mask.png", png(drawn())))
    single = sent_alone(client, "p s_9.png", "Cohort", half())
    chosen = [stack["id"], single["id"]]
    made = client.post(PATH, json={"scans": chosen if is_stack_first else chosen[::-1]})
    assert made.status_code == 202, made.json
    done = run_all(runtime, made.json["id"])
    cases = client.get(f"{PATH}/{done.id}/cases").json["cases"]
    assert {(case["patient"], case["image"].rpartition("/")[2]) for case in cases} == {
        ("p s", "p s_9.png"), ("p s (2)", "p s (2)_3.png"),
    }  # fmt: skip


def test_slices_of_a_volume_are_read_as_on_the_scans_page(
    app: Flask, client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    """Without its skull the network sees a rim around the brain, and what the file says of its sequence counts."""
    shape = (64, 80, 12)
    affine = volume_files.affine_of("LPS", (3.0, 3.0, 12.0), shape)
    data = volume_files.nifti(volume_files.head(affine, shape), affine)
    scan = sent(client, "P7_t1.nii.gz", data, form={"threshold": "0.4"})
    run_segmentation(runtime, scan["segmentation"]["id"])
    mask = volume_files.nifti(volume_files.tumor(affine, shape).astype(np.uint8), affine)
    beside = put(client, scan, ("mask.nii.gz", mask))
    assert beside.status_code == 200, beside.json

    made = client.post(PATH, json={"scans": [scan["id"]], "threshold": 0.4})

    done = run_all(runtime, made.json["id"])
    cases = client.get(f"{PATH}/{done.id}/cases").json["cases"]
    run = beside.json["segmentation"]
    assert {"skull_stripped", "not_flair"} <= {warning["code"] for warning in run["warnings"]}
    assert [case["predicted_pixels"] for case in cases] == [item["tumor_pixels"] for item in run["slices"]]
    assert {warning["code"] for case in cases for warning in case["warnings"]} == {"not_flair"}
    [patient] = client.get(f"{PATH}/{done.id}/patients").json["patients"]
    assert patient["dice"] == beside.json["agreement"]["dice"] < 1


def test_slices_of_one_number_keep_it(client: FlaskClient, resources: Resources, runtime: Runtime) -> None:
    """A slice that was sent twice: the second one took the next number, and was taken for the slice that has it."""
    scans = [
        sent_alone(client, name, "Cohort", half()) for name in ("P12_8.png", "P12_8.png", "P12_9.png", "P12_8.png")
    ]
    made = client.post(PATH, json={"scans": [scan["id"] for scan in scans]})
    done = run_all(runtime, made.json["id"])
    cases = client.get(f"{PATH}/{done.id}/cases").json["cases"]
    assert {case["patient"] for case in cases} == {"P12"}
    images = sorted(case["image"].rpartition("/")[2] for case in cases)
    assert images == ["P12_8 (2).png", "P12_8 (3).png", "P12_8.png", "P12_9.png"]
    assert [case["truth_pixels"] for case in cases] == [64] * 4


def test_slices_of_one_name_in_two_studies_are_two_patients(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    """So are two of one name without a number, which no patient's slices have."""
    names = [("scan_7.png", "P1"), ("scan_8.png", "P1"), ("scan_7.png", "P2"), ("head.png", "P1"), ("head.png", "P1")]
    scans = [sent_alone(client, name, study, half()) for name, study in names]
    made = client.post(PATH, json={"scans": [scan["id"] for scan in scans]})
    done = run_all(runtime, made.json["id"])
    cases = client.get(f"{PATH}/{done.id}/cases").json["cases"]
    assert sorted((case["patient"], case["image"].rpartition("/")[2]) for case in cases) == [
        ("head", "head_1.png"), ("head (2)", "head (2)_1.png"),
        ("scan", "scan_7.png"), ("scan", "scan_8.png"), ("scan (2)", "scan (2)_7.png"),
    ]  # fmt: skip


@pytest.mark.parametrize("is_turned", [True, False])
def test_examinations_of_one_patient_are_one_person_in_intervals(
    client: FlaskClient, resources: Resources, runtime: Runtime, is_turned: bool
) -> None:
    """The portal knows whose they are; each was a patient, and two examinations of one had an interval."""
    names = [("scan_7.png", "P1"), ("scan_7.png", "P2"), ("else.png", "P3"), ("b.png", "P4"), ("a.png", "P5")]
    scans = [sent_alone(client, name, study, half()) for name, study in names]
    for scan, patient in zip(scans, ("Pat-017", "pat-017", None, "Pat-018", "Pat-018"), strict=True):
        client.patch(f"/api/v1/studies/{scan['study']['id']}", json={"patient": patient})
    chosen = [scan["id"] for scan in scans]
    made = client.post(PATH, json={"scans": chosen[::-1] if is_turned else chosen})
    done = run_all(runtime, made.json["id"])
    patients = {case["patient"] for case in client.get(f"{PATH}/{done.id}/cases").json["cases"]}
    assert patients == {"person 1 - a", "person 1 - b", "person 2 - scan", "person 2 - scan (2)", "else"}
    assert set(map(person_of, patients)) == {"person 1", "person 2", "else"}

    alone = client.post(PATH, json={"scans": chosen[:2]})
    assert run_all(runtime, alone.json["id"]).summary["patient_dice_ci95"] is None


def test_one_scan_is_evaluated_from_its_page(app: Flask, client: FlaskClient, resources: Resources) -> None:
    stack = stack_of(app, client, ("p/s_3_mask.png", png(drawn())))
    fields = {"scan": stack["id"], "csrf_token": token(client), "threshold": "0.4"}
    response = client.post("/evaluations/scans", data=fields)
    assert response.status_code == 303
    made = client.get(f"/api/v1{response.location}").json
    assert (made["threshold"], made["name"]) == (0.4, "p s")
    assert put(client, stack, ("m_mask.png", png(drawn()))).status_code == 422  # as before


@pytest.mark.parametrize("body", [{}, {"path": "/x", "study": "0" * 32}, {"scans": []}, {"scans": ["0" * 32] * 501}])
def test_a_body_names_one_source(client: FlaskClient, body: dict) -> None:
    assert client.post(PATH, json=body).status_code == 422


def test_scans_without_masks_and_scans_that_are_gone_make_nothing(client: FlaskClient, resources: Resources) -> None:
    scan = sent_alone(client, "without.png", "Bare", None)
    before = left_over(resources)
    refused = client.post(PATH, json={"scans": [scan["id"]]})
    assert (refused.status_code, refused.json["message"]) == (
        422,
        "None of these scans has an expert's mask to compare with; add one on its page.",
    )
    assert client.post(PATH, json={"scans": ["0" * 32]}).status_code == 404
    assert client.post(PATH, json={"study": "0" * 32}).status_code == 404
    assert client.post(PATH, json={"study": scan["study"]["id"]}).status_code == 422
    assert left_over(resources) == before and client.get(PATH).json["evaluations"] == []


def test_what_a_masks_own_file_showed_is_said_by_the_evaluation_too(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    """The scan's page said it, and the headline of its evaluation did not."""
    lossy = io.BytesIO()
    Image.fromarray(drawn()).save(lossy, "JPEG", quality=60)
    [scan] = send(client, ("a.png", png(head(1)))).json["scans"]
    scan = put(client, scan, ("mask.jpg", lossy.getvalue())).json
    [said] = [finding["code"] for finding in scan["truth"]["findings"]]
    made = client.post(PATH, json={"scans": [scan["id"]]})
    done = run_all(runtime, made.json["id"])
    assert said == "lossy_mask" and MASK_FINDINGS[said].phrase in (done.headline or "")
