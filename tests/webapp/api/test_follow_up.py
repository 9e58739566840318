"""The follow-up of one patient: its order, its changes, and why there is none."""

import io
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from ml.cards import VolumeError
from tests.support import dicom_files, scan_files, volume_files
from tests.webapp.api.series.drawn_head import AFFINE, HALFWAY, SHAPE, VOXELS, named
from tests.webapp.clients import SCANS, finish, finished, resources_of, send, token
from webapp.domain.scans import follow_up
from webapp.domain.scans.follow_up import ModelError
from webapp.domain.scans.models import Scan, Segmentation, Verdict

STUDIES = "/api/v1/studies"


def larger(times: int) -> Any:
    """The head with a tumor of so many times its voxels."""
    voxels = VOXELS.copy()
    i, j, k = np.argwhere(VOXELS == 900).T
    for step in range(1, times):
        voxels[np.minimum(i + step * (int(np.ptp(i)) + 1), SHAPE[0] - 1), j, k] = 900
    return voxels


def add_study(app: Flask, name: str, day: str | None = None, voxels: Any = VOXELS, **elements: Any) -> dict[str, Any]:
    """A study of one DICOM series with a result."""
    client = app.test_client()
    files = named(dicom_files.series(voxels, AFFINE, **{"PatientID": "A1", **elements}))
    [scan] = send(client, *files, form={**HALFWAY, "study": name}).json["scans"]
    finish(resources_of(app), scan["segmentation"]["id"])
    if day:
        assert client.patch(f"{STUDIES}/{scan['study']['id']}", json={"date": day}).json["date"] == day
    return {"study": scan["study"]["id"], "scan": scan["id"], "run": scan["segmentation"]["id"]}


def of(client: FlaskClient, study_id: str) -> dict[str, Any]:
    response = client.get(f"{STUDIES}/{study_id}/follow-up")
    assert response.status_code == 200, response.json
    found: dict[str, Any] = response.json
    return found


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> VolumeError:
    """What a card states of its volumes."""
    volumes = VolumeError(half=1.1, volume=1.25, change=1.5, share=0.95, patients=75, set="out of fold")
    monkeypatch.setattr(follow_up, "_error", lambda resources, run: (ModelError("net", "1", 0.5, volumes), None))
    return volumes


def test_studies_stand_in_the_order_of_their_days_with_what_changed(
    app: Flask, client: FlaskClient, stated: VolumeError
) -> None:
    late = add_study(app, "late", "2024-06-01", larger(2))
    early = add_study(app, "early", "2023-01-31")
    other = add_study(app, "somebody else", "2023-05-05", PatientID="B2")

    found = of(client, late["study"])

    assert [point["study"] for point in found["points"]] == [early["study"], late["study"]]
    assert found["patient"]["source"] == "file" and found["patient"]["name"].startswith("P")
    first, second = (point["volume_ml"] for point in found["points"])
    [change] = found["changes"]
    assert change["change_ml"] == pytest.approx(second - first, abs=1e-3)
    assert change["change_percent"] == pytest.approx(100 * (second / first - 1), abs=0.01)
    low = 100 * (second / first / stated.change - 1)
    assert change["change_percent_range"][0] == pytest.approx(low, abs=0.01)
    assert change["is_told"] == (low > 0)
    assert found["points"][0]["volume_ml_range"] == pytest.approx([first / 1.25, first * 1.25], abs=1e-3)
    error = found["points"][0]["error"]
    assert (error["factor"], error["change_factor"], error["half_factor"]) == (1.25, 1.5, 1.1)
    assert (error["patients"], error["share"], error["set"]) == (75, 0.95, "out of fold")
    assert [point["study"] for point in of(client, other["study"])["points"]] == [other["study"]]

    page = client.get(f"/studies/{late['study']}/follow-up").text
    assert "2023-01-31 to 2024-06-01" in page and f"{second:.2f}" in page and "at most 1.50 times" in page
    assert f"/api/v1/scans/{early['scan']}/overlay.png" in page and "in one frame of reference" in page
    plot = client.get(f"{STUDIES}/{late['study']}/follow-up.svg")
    assert plot.mimetype == "image/svg+xml" and "2023-01-31" in plot.text and "<polyline" in plot.text
    assert f"/studies/{late['study']}/follow-up" in client.get(f"/scans?study={late['study']}").text
    assert f"/studies/{late['study']}/follow-up" in client.get(f"/scans/{late['scan']}").text


def test_volumes_by_distances_that_a_person_entered_say_so(app: Flask, client: FlaskClient) -> None:
    by_file = add_study(app, "by the file", "2023-01-31")
    stack = np.full((3, 64, 64, 3), 20, np.uint8)
    stack[1:, 10:16, 20:24] = 250
    scan = finished(app, "stack.tif", scan_files.tiff(stack))
    assert client.patch(f"{SCANS}/{scan['id']}", json={"spacing_mm": [5, 0.5, 0.5]}).status_code == 200
    entered = client.patch(f"{SCANS}/{scan['id']}", json={"study": "by a person"}).json["study"]["id"]
    for study_id, source, words in ((by_file["study"], "file", False), (entered, "entered", True)):
        [point] = of(client, study_id)["points"]
        assert point["volume_ml"] > 0 and point["spacing_source"] == source
        page = client.get(f"/studies/{study_id}/follow-up").text
        assert ("By distances of pixels and slices that a person entered." in page) == words


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"verdict": Verdict.NOT_ASSESSED, "warnings": ["not_flair", "plainly_not_flair"]}, "No verdict: not FLAIR."),
        ({"warnings": ["unlike_training_data"]}, "In doubt: unlike the training data."),
        ({"model": "another"}, "Not read alike: model"),
        ({"threshold": 0.9}, "threshold"),
        ({"volume_mm3": 0.0, "tumor_pixels": 0}, "nothing is marked"),
        ({"volume_mm3": None}, "distances of its slices are not known"),
    ],
    ids=["no verdict", "doubt", "model", "threshold", "nothing", "no volume"],
)
@pytest.mark.usefixtures("stated")
def test_no_change_is_told_between_what_cannot_be_compared(
    app: Flask, client: FlaskClient, values: dict[str, Any], said: str
) -> None:
    early, late = add_study(app, "early", "2023-01-31"), add_study(app, "late", "2024-06-01", larger(2))
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).where(Segmentation.id == late["run"]).values(**values))
    [change] = of(client, early["study"])["changes"]
    assert change["change_ml"] is change["change_percent"] is change["is_told"] is None
    assert said in change["problem"]
    assert said.split(":")[0] in client.get(f"/studies/{early['study']}/follow-up").text


def test_another_sequence_and_a_card_without_its_error_are_said(app: Flask, client: FlaskClient) -> None:
    early, late = add_study(app, "early", "2023-01-31"), add_study(app, "late", "2024-06-01", larger(2))
    [change] = of(client, early["study"])["changes"]
    assert change["change_ml"] is None and "card" in change["problem"]
    with resources_of(app).database.write() as session:
        told = {"kind": "t2", "source": "name"}
        session.execute(update(Scan).where(Scan.id == late["scan"]).values(sequence=told))
    assert "sequence" in of(client, early["study"])["changes"][0]["problem"]


@pytest.mark.usefixtures("stated")
def test_without_days_the_order_is_not_known(app: Flask, client: FlaskClient) -> None:
    one = add_study(app, "one", StudyDate="20230131")
    other = add_study(app, "other", StudyDate="20230907")
    none = add_study(app, "none")
    found = of(client, one["study"])
    assert [point["date"] for point in found["points"]] == ["2023", "2023", None]
    assert "earlier is not known" in found["changes"][0]["problem"]
    for study in (one, other):
        client.patch(f"{STUDIES}/{study['study']}", json={"date": "2023-01-31"})
    assert "earlier is not known" in of(client, none["study"])["changes"][0]["problem"]
    client.patch(f"{STUDIES}/{one['study']}", json={"date": "2023-02-01"})
    assert of(client, none["study"])["changes"][0]["change_ml"] == 0.0
    assert "not known; enter it" in client.get(f"/studies/{none['study']}/follow-up").text


@pytest.mark.usefixtures("stated")
def test_two_persons_are_never_one(app: Flask, client: FlaskClient) -> None:
    one = add_study(app, "one", "2023-01-31")
    mixed = add_study(app, "mixed", "2023-03-01")
    add_study(app, "mixed", PatientID="B2", SeriesDescription="other")
    found = of(client, one["study"])
    assert [point["study"] for point in found["points"]] == [one["study"]]
    assert found["changes"] == []
    assert found["left_out"][0]["study"] == mixed["study"] and "2 patients" in found["left_out"][0]["reason"]
    alone = of(client, mixed["study"])
    assert alone["patient"]["name"] is None and len(alone["points"]) == 1 and alone["changes"] == []

    client.patch(f"{STUDIES}/{one['study']}", json={"patient": "somebody"})
    assert "another patient was entered" in of(client, one["study"])["patient"]["problem"]


def test_one_id_with_two_birth_dates_is_two_persons(app: Flask, client: FlaskClient) -> None:
    """Two hospitals give one number to different people."""
    smith = add_study(app, "smith", PatientBirthDate="19500312")
    again = add_study(app, "smith again", PatientBirthDate="19500312", voxels=VOXELS + 1)
    garcia = add_study(app, "garcia", PatientBirthDate="19800505", voxels=VOXELS + 2)
    found = of(client, smith["study"])
    assert {point["study"] for point in found["points"]} == {smith["study"], again["study"]}
    assert [(item["name"], "birth dates" in item["reason"]) for item in found["left_out"]] == [("garcia", True)]
    [own] = of(client, garcia["study"])["points"]
    assert own["study"] == garcia["study"]
    client.patch(f"{SCANS}/{garcia['scan']}", json={"study": "smith"})
    mixed = of(client, smith["study"])
    assert mixed["patient"]["name"] is None and "2 birth dates" in mixed["patient"]["problem"]


@pytest.mark.parametrize("other", ["", "19500101", "00010101"])
def test_a_birth_date_that_is_not_known_parts_nobody(app: Flask, client: FlaskClient, other: str) -> None:
    first = add_study(app, "first", PatientBirthDate="19500312")
    second = add_study(app, "second", PatientBirthDate=other, voxels=VOXELS + 1)
    found = of(client, first["study"])
    assert {point["study"] for point in found["points"]} == {first["study"], second["study"]}


def test_of_two_persons_of_one_id_a_study_without_a_birth_date_is_neithers(app: Flask, client: FlaskClient) -> None:
    first = add_study(app, "first", PatientBirthDate="19500312")
    add_study(app, "second", PatientBirthDate="19800505", voxels=VOXELS + 1)
    unknown = add_study(app, "unknown", PatientBirthDate="", voxels=VOXELS + 2)
    for study in (first, unknown):
        found = of(client, study["study"])
        assert [point["study"] for point in found["points"]] == [study["study"]]
        assert len(found["left_out"]) == 2


@pytest.mark.usefixtures("stated")
def test_files_without_headers_are_of_the_patient_that_was_entered(app: Flask, client: FlaskClient) -> None:
    def add(study: str) -> str:
        data = volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)
        [scan] = send(client, ("head.nii.gz", data), form={**HALFWAY, "study": study}).json["scans"]
        finish(resources_of(app), scan["segmentation"]["id"])
        return str(scan["study"]["id"])

    first, second = add("first"), add("second")
    assert "enter its patient" in of(client, first)["patient"]["problem"]
    for study, name, day in ((first, "P7 ", "2020-01-01"), (second, "p7", "2021-01-01")):
        body = {"patient": name, "date": day}
        assert client.patch(f"{STUDIES}/{study}", json=body).status_code == 200
    found = of(client, first)
    assert [point["study"] for point in found["points"]] == [first, second]
    assert (found["patient"]["source"], found["changes"][0]["change_ml"]) == ("entered", 0.0)
    dicom = add_study(app, "dicom", "2022-01-01")
    own = of(client, dicom["study"])["patient"]["name"]
    client.patch(f"{STUDIES}/{second}", json={"patient": own.lower()})
    assert [point["study"] for point in of(client, second)["points"]] == [second, dicom["study"]]
    assert client.patch(f"{STUDIES}/{second}", json={"patient": None}).json["patient"] is None

    client.delete(f"{SCANS}/{dicom['scan']}")
    assert client.get(f"{STUDIES}/{dicom['study']}/follow-up").status_code == 404


@pytest.mark.parametrize("day", ["yesterday", "2023-02-30", "1823-01-01", "9999-01-01"])
def test_a_day_that_was_none_is_refused(app: Flask, client: FlaskClient, day: str) -> None:
    scan = finished(app)
    study = client.patch(f"{SCANS}/{scan['id']}", json={"study": "x"}).json["study"]
    refused = client.patch(f"{STUDIES}/{study['id']}", json={"date": day})
    assert (refused.status_code, refused.json["code"]) == (422, "invalid")


def test_only_scans_with_a_verdict_are_counted_beside_the_one_that_stands_for_a_study(
    app: Flask, client: FlaskClient
) -> None:
    """A study has T1 series, too, of which nothing that is marked counts."""
    study = add_study(app, "one", "2023-01-31")
    others = [add_study(app, "one", SeriesDescription=words) for words in ("T2", "T1")]
    values = {"verdict": Verdict.NOT_ASSESSED, "warnings": ["not_flair", "plainly_not_flair"]}
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).where(Segmentation.id == others[1]["run"]).values(**values))
    [point] = of(client, study["study"])["points"]
    assert point["other_scans"] == 1


def test_a_picture_has_no_volume_and_no_plot(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    study = client.patch(f"{SCANS}/{scan['id']}", json={"study": "x"}).json["study"]
    [point] = of(client, study["id"])["points"]
    assert point["volume_ml"] is None and "single slice" in point["problem"]
    plot = client.get(f"{STUDIES}/{study['id']}/follow-up.svg")
    assert (plot.status_code, plot.json["code"]) == (409, "not_ready")
    assert client.get(f"/studies/{study['id']}/follow-up").status_code == 200


def test_a_volume_of_a_few_voxels_is_not_zero(app: Flask, client: FlaskClient, stated: VolumeError) -> None:
    small, large = add_study(app, "small", "2023-01-31"), add_study(app, "large", "2024-06-01")
    with resources_of(app).database.write() as session:
        for study, volume in ((small, 1.0), (large, 4.0)):
            session.execute(update(Segmentation).where(Segmentation.id == study["run"]).values(volume_mm3=volume))

    page = client.get(f"/studies/{small['study']}/follow-up").text

    low, high = 1e-3 / stated.volume, 1e-3 * stated.volume
    assert "0.0010&nbsp;mL" in page and "0.0040&nbsp;mL" in page and f"{low:.4f} to {high:.4f}&nbsp;mL" in page
    assert "differ by +0.0030&nbsp;mL" in page and "0.00&nbsp;mL" not in page


@pytest.mark.usefixtures("stated")
def test_the_whole_course_is_told_first_and_its_ends_are_side_by_side(app: Flask, client: FlaskClient) -> None:
    days = ("2021-01-15", "2022-01-15", "2023-01-15", "2024-01-15")
    added = [add_study(app, day, day, larger(1 + number)) for number, day in enumerate(days)]
    undated = add_study(app, "undated")
    values = {"warnings": ["unlike_training_data"]}, {"volume_mm3": 0.0, "tumor_pixels": 0}
    with resources_of(app).database.write() as session:
        for study, changed in zip(added[1:], values, strict=False):
            session.execute(update(Segmentation).where(Segmentation.id == study["run"]).values(**changed))

    found = of(client, undated["study"])

    numbers = {study["study"]: number for number, study in enumerate(added)}
    told = [(numbers[change["first"]], numbers[change["second"]]) for change in found["changes"]]
    assert told == [(0, 3), (0, 1), (1, 2), (2, 3)]
    assert [point["volume_ml_range"] is None for point in found["points"]] == [False, True, True, False, False]
    page = client.get(f"/studies/{undated['study']}/follow-up").text
    assert "First to last" in page and "Nothing is marked." in page
    assert [page.count(f"/scans/{study['scan']}/overlay.png") for study in (*added, undated)] == [2, 0, 0, 2, 0]


@pytest.mark.usefixtures("stated")
def test_neighbors_are_not_called_the_whole_course(app: Flask, client: FlaskClient) -> None:
    """Of four dates two of which have a volume, the first change is that of two neighbors."""
    days = ("2021-01-15", "2022-01-15", "2023-01-15", "2024-01-15")
    added = [add_study(app, day, day) for day in days]
    with resources_of(app).database.write() as session:
        for study in (added[0], added[3]):
            changed = update(Segmentation).where(Segmentation.id == study["run"])
            session.execute(changed.values(verdict=Verdict.NOT_ASSESSED))

    page = client.get(f"/studies/{added[0]['study']}/follow-up").text

    assert "2021-01-15 to 2022-01-15" in page and "First to last" not in page


@pytest.mark.usefixtures("stated")
def test_two_dates_are_drawn_at_one_scale(app: Flask, client: FlaskClient) -> None:
    """A tumor is not larger because its scan's pixels are, and a pixel that is higher than wide is drawn so."""
    early, late = add_study(app, "early", "2023-01-31"), add_study(app, "late", "2024-06-01")
    with resources_of(app).database.write() as session:
        for study, spacing in ((early, [5.0, 2.0, 1.0]), (late, [5.0, 1.0, 1.0])):
            session.execute(update(Scan).where(Scan.id == study["scan"]).values(spacing_mm=spacing))
    address = f"/studies/{early['study']}/follow-up"
    width, height = (
        client.get(f"{SCANS}/{early['scan']}").json["width"],
        client.get(f"{SCANS}/{early['scan']}").json["height"],
    )
    page = client.get(address).text
    assert page.count(f'viewBox="0 0 {width} {2 * height}"') == 2 and "at one scale in mm" in page
    assert f'width="{width}" height="{2 * height}"' in page
    assert f'x="0" y="{height / 2:g}" width="{width}" height="{height}"' in page
    with resources_of(app).database.write() as session:
        session.execute(update(Scan).where(Scan.id == late["scan"]).values(spacing_mm=None))
    assert "their own size of pixels" in client.get(address).text


def test_of_too_many_studies_the_newest_are_followed_and_the_others_counted(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Series that were de-identified elsewhere may all have one patient's id."""
    monkeypatch.setattr(follow_up, "MOST_POINTS", 2)
    days = ("2024-06-01", None, "2021-01-15", None)
    years = ({"StudyDate": "20200101"}, {"StudyDate": "20230101"}, {}, {})
    added = zip(days, years, strict=True)
    studies = [add_study(app, f"visit {at}", day, **year)["study"] for at, (day, year) in enumerate(added)]

    found = of(client, studies[0])
    assert [point["study"] for point in found["points"]] == [studies[1], studies[0]]
    assert (found["older_studies"], [point["date"] for point in found["points"]]) == (2, ["2023", "2024-06-01"])
    page = client.get(f"/studies/{studies[0]}/follow-up").text
    assert "2 older studies of this patient are not here: a follow-up has the 2 newest" in page
    assert client.get(f"{STUDIES}/{studies[0]}/follow-up.svg").text.count("visit") == 0


def test_a_study_beyond_the_most_is_in_its_own_follow_up(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_up, "MOST_POINTS", 2)
    studies = [add_study(app, f"visit {number}")["study"] for number in range(4)]

    assert [point["study"] for point in of(client, studies[0])["points"]] == [studies[0], studies[3]]
    assert client.get(f"/studies/{studies[0]}/follow-up").status_code == 200
    assert [point["study"] for point in of(client, studies[2])["points"]] == studies[2:]
    monkeypatch.setattr(follow_up, "MOST_POINTS", 4)
    assert of(client, studies[0])["older_studies"] == 0
    assert "older stud" not in client.get(f"/studies/{studies[0]}/follow-up").text


def test_volumes_stay_the_models_beside_an_experts_mask_and_that_is_said(app: Flask, client: FlaskClient) -> None:
    study = add_study(app, "corrected", "2023-01-31")
    before = of(client, study["study"])["points"][0]
    mask = {"file": (io.BytesIO(volume_files.nifti(np.zeros(SHAPE, np.uint8), AFFINE)), "none.nii.gz")}
    assert client.put(f"{SCANS}/{study['scan']}/truth", data=mask).status_code == 200
    after = of(client, study["study"])["points"][0]
    assert (before.pop("has_expert_mask"), after.pop("has_expert_mask")) == (False, True)
    assert before == after
    page = client.get(f"/studies/{study['study']}/follow-up").text
    assert "Volumes are the model&#39;s; the scan has an expert&#39;s mask, too." in page


def test_a_day_in_another_year_than_that_of_its_series_is_said(app: Flask, client: FlaskClient) -> None:
    """A slip of the hand puts a visit behind all others."""
    study = add_study(app, "July", "2025-07-12", StudyDate="20240712")["study"]
    [point] = of(client, study)["points"]
    assert point["date"] == "2025-07-12"
    assert "2025-07-12, is not in 2024, the year of its series" in point["date_problem"]
    assert point["date_problem"] in client.get(f"/studies/{study}/follow-up").text

    def save(day: str) -> str:
        form = {"csrf_token": token(client), "date": day, "read_date": "2025-07-12"}
        return client.post(f"/studies/{study}", data=form, follow_redirects=True).text

    assert "2025-08-12, is not in 2024, the year of its series" in save("2025-08-12")
    assert "the year of its series" not in save("2024-07-12")
    assert of(client, study)["points"][0]["date_problem"] is None
