"""The evaluations' pages as a browser without scripts gets them, and the comparison behind one of them."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from ml.cards import DoubtRule
from tests.support.evaluations import (
    begin,
    evaluation_row,
    run_all,
    slice_pixels,
    square,
    write_data_set,
    write_slice,
)
from tests.support.volume_sets import write_brats
from tests.webapp.clients import resources_of, token
from webapp.domain.evaluations.models import CaseOutcome, Evaluation, EvaluationCase
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime

API = "/api/v1/evaluations"


@pytest.fixture
def resources(app: Flask) -> Resources:
    return resources_of(app)


def test_names_are_escaped_wherever_they_are_shown(client: FlaskClient, resources: Resources, runtime: Runtime) -> None:
    name = "<img src=x onerror=alert(1)>"
    folder = write_data_set(resources.settings.evaluation_roots[0] / "set", patients=1)
    (folder / "patient_0").rename(folder / name)
    evaluation_id = begin(resources, folder, name=name)
    run_all(runtime, evaluation_id)
    other = begin(resources, folder, threshold=0.95)
    run_all(runtime, other)
    for path in ("", f"/new?path={folder}", f"/{evaluation_id}", f"/{evaluation_id}/cases/0",
                 f"/{evaluation_id}/compare?other={other}"):  # fmt: skip
        page = client.get(f"/evaluations{path}").text
        assert name not in page and "&lt;img src=x" in page, path


@pytest.mark.parametrize("query", ["evaluation_id=x", "_anchor=x", "_external=1", "_scheme=javascript", "_method=PUT"])
def test_what_an_address_says_besides_is_left_out_of_the_next_page(
    client: FlaskClient, resources: Resources, runtime: Runtime, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_data_set(resources.settings.evaluation_roots[0] / "set", patients=1)
    evaluation_id = begin(resources, folder)
    run_all(runtime, evaluation_id)
    monkeypatch.setattr("webapp.views.evaluations.ROWS", 2)
    page = client.get(f"/evaluations/{evaluation_id}?q=p0&{query}")
    assert page.status_code == 200
    assert re.search(rf'href="/evaluations/{evaluation_id}\?q=p0&amp;cursor=[\w-]+#cases"', page.text)


def test_no_landmark_says_again_what_a_heading_says_and_no_column_is_without_a_name(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    ids = [begin(resources, data, threshold=threshold) for threshold in (0.3, 0.9)]
    for evaluation_id in ids:
        run_all(runtime, evaluation_id)
    for path in ("", f"/{ids[0]}", f"/{ids[0]}/compare?other={ids[1]}"):
        page = client.get(f"/evaluations{path}").text
        assert 'role="region"' not in page, path
        heads = "".join(re.findall(r"<thead>.*?</thead>", page, re.DOTALL))
        assert heads and not re.search(r"<t[hd][^>]*>\s*</t[hd]>", heads), path


def test_doubtful_masks_stand_in_the_headline_and_among_the_findings(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    Image.fromarray(~square(8, 8, 14)).save(data / "patient_0" / "p0_000_mask.png")
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    page = client.get(f"/evaluations/{evaluation_id}").text
    assert re.search(r'class="headline">[^<]*expert masks (is|are) doubtful \(most of the slice covered: 1,', page)
    assert "look before you trust the figures" in page and "each mask has the size of its image" not in page
    assert re.search(r"<dt>Masks that cover most of their slice</dt><dd>1</dd>", page)
    assert re.search(r"p0_000_mask\.png</span>: The mask covers more than half of its slice", page)
    with client.get(f"{API}/{evaluation_id}/findings.json") as response:
        findings = response.json
    assert findings["warning_counts"]["mask_covers_slice"] == 1 and findings["warnings"]
    for position, shown in ((0, True), (1, False)):
        page = client.get(f"/evaluations/{evaluation_id}/cases/{position}").text
        assert ("Expert's mask: The mask covers more than half" in page) == shown
        found = client.get(f"{API}/{evaluation_id}/cases/{position}").json["mask_findings"]
        assert ("mask_covers_slice" in {finding["code"] for finding in found}) == shown


def test_a_mark_elsewhere_than_the_experts_tumor_is_said_where_the_slice_counts_as_found(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    Image.fromarray(square(40, 40, 14)).save(data / "patient_0" / "p0_000_mask.png")
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    for position, shown in ((0, True), (1, False), (2, False)):
        page = client.get(f"/evaluations/{evaluation_id}/cases/{position}").text
        assert ("lies elsewhere than the expert's tumor" in page) == shown
    assert client.get(f"/evaluations/{evaluation_id}").text.count("<span>Elsewhere</span>") == 1


def test_slices_of_a_volume_are_named_by_their_number_from_one(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    folder = resources.settings.evaluation_roots[0] / "volumes"
    write_brats(folder, "P1")
    evaluation_id = begin(resources, folder)
    run_all(runtime, evaluation_id)
    assert "P1/P1-t2f.nii.gz, slice 1</h1>" in client.get(f"/evaluations/{evaluation_id}/cases/0").text
    page = client.get(f"/evaluations/{evaluation_id}").text
    assert "P1/P1-t2f.nii.gz, slice 1</a>" in page and ".nii.gz/0000" not in page
    with client.get(f"{API}/{evaluation_id}/report.html") as response:
        assert ".nii.gz, slice " in response.text and ".nii.gz/0" not in response.text
    assert client.get(f"{API}/{evaluation_id}/cases/0").json["image"] == "P1/P1-t2f.nii.gz/0000"  # programs' names stay


def test_an_evaluation_that_was_checked_before_there_were_warnings_is_shown(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    with resources.database.write() as session:
        row = session.get_one(Evaluation, evaluation_id)
        new = ("warnings", "warning_counts", "warning_count", "doubtful_masks")
        row.findings = {name: value for name, value in row.findings.items() if name not in new}
    page = client.get(f"/evaluations/{evaluation_id}").text
    assert "each mask has the size of its image" in page


def test_a_slice_unlike_the_training_data_says_so_beside_its_outcome(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    runtime.engine("any").is_out_of_distribution = [True] + [False] * 14
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    first, second = (client.get(f"/evaluations/{evaluation_id}/cases/{position}").text for position in (0, 1))
    # Before the verdict that it puts in question.
    assert (
        first.index("Unlike the training data") < first.rindex("may mean nothing here") < first.index(">Tumor found<")
    )
    assert "nlike the training data" not in second and "may mean nothing here" not in second
    assert client.get(f"/evaluations/{evaluation_id}").text.count("Unlike the training data") == 1
    rows = client.get(f"{API}/{evaluation_id}/cases").json["cases"]
    assert [[item["code"] for item in row["warnings"]] for row in rows[:2]] == [["unlike_training_data"], []]


def test_a_preview_of_a_slice_without_a_verdict_is_told_that_no_mark_is_a_finding(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    with resources.database.write() as session:
        session.get_one(EvaluationCase, (evaluation_id, 0)).input_warning = "bright_background"
    first, second = (client.get(f"/evaluations/{evaluation_id}/cases/{position}").text for position in (0, 1))
    assert 'data-with-mask="not_assessed"' in first and 'data-with-mask="tumor_detected"' in second


def test_what_is_marked_on_a_slice_without_a_verdict_is_not_called_a_tumor(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    folder = resources.settings.evaluation_roots[0] / "set"
    write_slice(folder, "p", "a", slice_pixels(1, 8, 8, 14, 230), None)
    evaluation_id = begin(resources, folder)
    run_all(runtime, evaluation_id)
    path = f"/evaluations/{evaluation_id}/cases/0"
    assert "white: tumor" in client.get(path).text
    with resources.database.write() as session:
        row = session.get_one(EvaluationCase, (evaluation_id, 0))
        row.input_warning, row.outcome = "bright_background", CaseOutcome.NOT_ASSESSED
    page = client.get(path).text
    assert "white: marked" in page and "white: tumor" not in page


def test_the_overlay_of_a_case_names_the_dashed_lines_that_a_threshold_may_bring(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    engine = runtime.engine("any")
    engine.card = replace(engine.card, doubt=DoubtRule(0.45, 80))
    folder = resources.settings.evaluation_roots[0] / "set"
    for name, value in (("a", 230), ("b", 120)):
        write_slice(folder, "p", name, slice_pixels(1, 8, 8, 14, value), None)
    evaluation_id = begin(resources, folder)
    run_all(runtime, evaluation_id)
    found, doubtful = (client.get(f"/evaluations/{evaluation_id}/cases/{position}").text for position in (0, 1))
    for page in (found, doubtful):
        assert 'class="swatch swatch-overlay"></i>tumor</span>' in page
        assert '<i class="swatch swatch-doubt"></i>in doubt</span>' in page
    assert ">Tumor detected<" in found and ">Uncertain<" in doubtful


def test_the_tables_are_filtered_sorted_and_paged(
    client: FlaskClient, resources: Resources, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    from webapp.views import evaluations

    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    monkeypatch.setattr(evaluations, "ROWS", 2)
    first = client.get(f"/evaluations/{evaluation_id}?order=worst&patient_order=best").text
    assert first.count("More slices") == first.count("More patients") == 1
    link = first.split('href="', 1)[1:][0]
    address = next(part.split('"')[0] for part in first.split('href="') if "cursor=" in part and "#cases" in part[:400])
    assert link and "patient_order=best" in address
    second = client.get(address.split("#")[0].replace("&amp;", "&")).text
    assert second.count("More slices") == 1
    only = client.get(f"/evaluations/{evaluation_id}?outcome=false_alarm&q=patient_1").text
    assert "p1_004.png" in only and "p0_004.png</a>" not in only.split('id="cases"')[1]
    assert client.get(f"/evaluations/{evaluation_id}?order=no-such&outcome=x&patient_order=y").status_code == 200
    assert client.get(f"/evaluations/{evaluation_id}?cursor=x").status_code == 422


def test_a_form_that_is_refused_says_why_on_its_page(client: FlaskClient, data: Path) -> None:
    for form, said in (
        ({"path": "/etc"}, "There is no such folder below the allowed roots"),
        ({"path": str(data), "threshold": "7"}, "The threshold must be a number from 0 to 1."),
        ({"path": str(data), "model": "none"}, "There is no such model, &#39;none&#39;"),
    ):
        response = client.post("/evaluations", data={"csrf_token": token(client), **form})
        assert response.status_code == 303
        assert said in client.get(response.headers["Location"]).text
    assert client.get(API).json["evaluations"] == []


def test_the_comparison_counts_what_changed(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    first = begin(resources, data)
    run_all(runtime, first)
    truth = data / "patient_0" / "p0_000.png"
    before = truth.read_bytes()
    write_slice(data, "patient_0", "p0_000", slice_pixels(1, 0, 0, 0), None)
    second = begin(resources, data)
    run_all(runtime, second)
    truth.write_bytes(before)
    found = client.get(f"{API}/{first}/comparison?other={second}").json
    assert (found["shared"], found["altered"], found["only_first"], found["only_second"]) == (15, 1, 0, 0)
    assert found["changed"] == [{"first": "found", "second": "missed", "slices": 1}]
    assert found["changes"][0]["image"] == "patient_0/p0_000.png"
    pairs = found["patient_dice"]
    assert (pairs["pairs"], pairs["better"], pairs["worse"], pairs["equal"]) == (3, 0, 0, 3)
    page = client.get(f"/evaluations/{first}/compare?other={second}").text
    assert " has the same mean patient Dice as " in page
    assert "1 slice: tumor found → tumor missed" in page
    assert "1 are other files, or have another mask, under the same name" in page
    assert "over the 14 slices that both compared" in page


def test_a_threshold_is_shown_with_all_its_digits(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    first, second = (begin(resources, data, threshold=threshold) for threshold in (0.5, 0.99999995))
    for evaluation in (first, second):
        run_all(runtime, evaluation)
    assert "<dt>Threshold</dt><dd>0.99999995</dd>" in client.get(f"/evaluations/{second}").text
    assert ", 0.99999995)</option>" in client.get(f"/evaluations/{first}").text
    assert "<td>0.99999995</td>" in client.get(f"/evaluations/{first}/compare?other={second}").text


def test_a_comparison_pools_the_very_same_slices(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    """One model twice, on data of which slices were lost, broken and drawn anew in between: there is no difference."""
    first = begin(resources, data)
    run_all(runtime, first)
    for name in ("p0_002.png", "p0_002_mask.png"):  # a missed tumor is gone
        (data / "patient_0" / name).unlink()
    (data / "patient_1" / "p1_002.png").write_bytes(b"nothing")
    Image.fromarray(square(30, 30, 9)).save(data / "patient_2" / "p2_000_mask.png")
    second = begin(resources, data)
    run_all(runtime, second)
    one, two = (evaluation_row(resources, item).summary["patient_dice_mean"] for item in (first, second))
    assert two != pytest.approx(one, abs=0.005)
    found = client.get(f"{API}/{first}/comparison?other={second}").json
    assert [found[name] for name in ("shared", "compared", "altered", "failed", "only_first")] == [14, 12, 1, 1, 1]
    assert found["patient_dice"]["mean_difference"] == 0 and found["patient_dice"]["equal"] == 3
    assert [(pair["patient"], pair["slices"]) for pair in found["patients"]] == [
        ("patient_0", 4),
        ("patient_1", 4),
        ("patient_2", 4),
    ]
    page = client.get(f"/evaluations/{first}/compare?other={second}").text
    assert "1 could not be read in one of them" in page and "over the 12 slices that both compared" in page


def test_a_comparison_without_changes_is_that_of_the_reports(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    first, second = begin(resources, data), begin(resources, data, threshold=0.95)
    for evaluation_id in (first, second):
        run_all(runtime, evaluation_id)
    one, two = (evaluation_row(resources, item).summary["patient_dice_mean"] for item in (first, second))
    found = client.get(f"{API}/{first}/comparison?other={second}").json
    assert (found["compared"], found["altered"], found["failed"]) == (15, 0, 0)
    assert found["patient_dice"]["mean_difference"] == pytest.approx(two - one, abs=1e-6) and two != one
    assert (found["patient_dice"]["wilcoxon_p"], found["patient_dice"]["is_few"]) == (None, True)
    page = client.get(f"/evaluations/{first}/compare?other={second}").text
    rows = [evaluation_row(resources, item) for item in (second, first)]
    names = [f"{row.name} ({row.model}, {row.threshold:g})" for row in rows]
    words = f"{abs(one - two):.4f} {'lower' if two < one else 'higher'}"
    assert f"{names[0]} has a mean patient Dice {words} than {names[1]}" in page
    assert "over 3 patients; no difference shown; too few patients for a test" in page
    assert page.count("Both: The 95\u00a0% intervals are of 3 patients") == 1
    apart = [abs(item["second"] - item["first"]) for item in found["differences"]]
    assert 0 < len(apart) <= 6 and apart == sorted(apart, reverse=True) and apart[-1] > 0
    for item in found["differences"]:
        for evaluation_id, side in ((first, "first"), (second, "second")):
            case = client.get(f"{API}/{evaluation_id}/cases/{item[f'{side}_position']}").json
            assert (case["image"], case["dice"]) == (item["image"], pytest.approx(item[side], abs=1e-6))
            assert f'src="{case["links"]["errors"]}"' in page
    plot = client.get(f"{API}/{first}/comparison/patients.svg?other={second}")
    assert (plot.status_code, plot.mimetype) == (200, "image/svg+xml")
    drawn = ElementTree.fromstring(plot.text)
    tips = [tip.text for tip in drawn.iter("{http://www.w3.org/2000/svg}title")]
    for pair in found["patients"]:
        assert f"{pair['patient']}: {pair['first']:.3f} and {pair['second']:.3f}" in tips


def test_an_evaluation_of_the_models_own_patients_says_so_wherever_its_headline_stands(
    client: FlaskClient, resources: Resources, runtime: Runtime
) -> None:
    folder = write_data_set(resources.settings.evaluation_roots[0] / "own", patients=3)
    known = resources.catalog.card(None).training.validation_patients
    assert known
    (folder / "patient_0").rename(folder / known[0])
    evaluation_id = begin(resources, folder)
    run_all(runtime, evaluation_id)
    own = "By their names, 1 of 3 patients was used to choose the epoch: this is no test."
    few = "The 95 % intervals are of 3 patients with tumor: with fewer than ten they are too narrow."
    assert client.get(f"{API}/{evaluation_id}").json["summary"]["caveats"] == [own, few]
    for path in ("", f"/{evaluation_id}"):
        page = client.get(f"/evaluations{path}").text.replace("\u00a0", " ")
        assert own in page and few in page, path
    assert own in client.get(f"{API}/{evaluation_id}/report.html", buffered=True).text


def test_an_evaluation_on_slices_of_the_training_under_other_names_says_so(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    runtime.engine("any").is_of_training = True
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    said = r"By their pixels, (\d+) of \1 slices were trained on, whatever they are called: this is no test\."
    assert re.match(said, client.get(f"{API}/{evaluation_id}").json["summary"]["caveats"][0])
    for path in (f"/evaluations/{evaluation_id}", f"{API}/{evaluation_id}/report.html"):
        assert re.search(said, client.get(path, buffered=True).text), path


def test_a_case_that_the_first_look_of_a_cascade_answered_alone_says_so(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    runtime.engine("any").is_first_look = [True, False] * 50
    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    pages = [client.get(f"/evaluations/{evaluation_id}/cases/{position}").text for position in (0, 1)]
    assert [">first look alone<" in page for page in pages] == [True, False]


def test_what_cannot_be_compared_is_said(
    client: FlaskClient, resources: Resources, runtime: Runtime, data: Path
) -> None:
    first, waiting = begin(resources, data), begin(resources, data)
    run_all(runtime, first)
    bare = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "bare", has_masks=False))
    run_all(runtime, bare)
    other = write_data_set(resources.settings.evaluation_roots[0] / "other", patients=1)
    (other / "patient_0").rename(other / "somebody")
    elsewhere = begin(resources, other)
    run_all(runtime, elsewhere)
    for other_id, status in ((first, 422), (waiting, 409), (bare, 422), (elsewhere, 422), ("0" * 32, 404), ("x", 404)):
        assert client.get(f"{API}/{first}/comparison?other={other_id}").status_code == status, other_id
        assert client.get(f"/evaluations/{first}/compare?other={other_id}").status_code == status
