"""A model's page says what its card says, in words."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from ml.cards.card import Training
from tests.support.ensembles import NAME, write_ensemble
from tests.webapp.clients import finished


def test_figures_have_labels_and_no_raw_keys(client: FlaskClient) -> None:
    page = client.get("/models/unet-vgg16-lgg").text
    assert "U-Net with VGG16 encoder" in page
    assert "<dt>Patient Dice</dt><dd>−0.00" in page
    assert "Equal verdicts</dt><dd>99.64&nbsp;% of the slices" in page
    assert "verdicts equal</dt>" not in page and "patient_dice" not in page and "patient dice delta" not in page


def test_the_title_of_a_card_stands_below_its_name(client: FlaskClient) -> None:
    title = client.get("/api/v1/models/unet-vgg16-lgg").json["title"]
    assert title and f'<p class="lede">{title}</p>' in client.get("/models/unet-vgg16-lgg").text


def test_files_that_the_package_lacks_are_said(client: FlaskClient) -> None:
    files = client.get("/api/v1/models/unet-vgg16-lgg").json["files"]
    missing = [name for name, file in files.items() if not file.get("present", True)]
    assert client.get("/models/unet-vgg16-lgg").text.count("not in this package") == len(missing)


def test_an_ensemble_has_a_page_that_names_its_members(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    models = write_ensemble(tmp_path / "models")
    client = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL=NAME).test_client()
    found = client.get(f"/api/v1/models/{NAME}").json
    assert (found["usable"], [member["name"] for member in found["members"]]) == (True, ["one", "two"])
    page = client.get(f"/models/{NAME}").text
    assert "Ensemble of one + two" in page and '<a href="/models/two">two</a> 1.2.3' in page
    assert f'<a href="/models/{NAME}">' in client.get("/models").text


def test_the_error_of_volumes_is_said_or_that_there_is_none(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    models = write_ensemble(tmp_path / "models")
    path = models / NAME / "card.json"
    card = json.loads(path.read_text())
    assert card.get("volumes") is None
    client = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL=NAME).test_client()
    assert "a follow-up by this model tells no change" in client.get(f"/models/{NAME}").text
    error = {"half": 1.1, "volume": 2.5, "change": 2.75, "share": 0.95, "patients": 75, "set": "out of fold"}
    path.write_text(json.dumps({**card, "volumes": error}))
    page = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL=NAME).test_client().get(f"/models/{NAME}").text
    assert "Of 75 patients (out of fold)" in page and "at most 2.50 times" in page and "at most 2.75 times" in page


def test_a_cascade_says_who_looks_first_and_what_it_costs(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    models = write_ensemble(tmp_path / "models")
    path = models / NAME / "card.json"
    found = {"slices": 520, "patients": 15, "skipped": 228, "clear": 347, "skipped_clear": 223, "lost": 0}
    found |= {"verdicts_equal": 0.9962, "patient_dice_delta": 0.0}
    cascade = {"limit": 0.07, "neighbors": 1, "chosen_on": "out of fold", "out_of_fold": found, "served": None}
    path.write_text(json.dumps({**json.loads(path.read_text()), "cascade": cascade}))
    client = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL=NAME).test_client()
    assert client.get(f"/api/v1/models/{NAME}").json["cascade"] == cascade
    page = client.get(f"/models/{NAME}").text
    assert "Cascade: one, then two" in page and "Ensemble of" not in page
    assert "one looks at every slice; the other is asked where it sees 7&nbsp;% or more somewhere, about 1" in page
    assert " slice on either side of such a one in its stack, and about each slice without neighbors" in page
    assert "enough for 228 of 520 slices of 15 patients, 223 of 347 without tumor" in page
    assert "99.62&nbsp;% of verdicts equal, mean patient Dice +0.0000, 0 larger tumors lost" in page


FOLDS = {
    "set": "out of fold; rules chosen on the other folds",
    "rule": "75 of 75 patients; each slice alone",
    "patients": 75,
}


def write_pair(models: Path, *, folds: tuple[float, float] | None, test: tuple[float, float]) -> Path:
    """Two models with these mean patient Dice, the one's and the two's."""
    write_ensemble(models)
    for place, name in enumerate(("one", "two")):
        path = models / name / "card.json"
        card = json.loads(path.read_text())
        headline = next(metric for metric in card["metrics"] if metric["name"] == "patient_dice_mean")
        card["metrics"] = [{**headline, "value": test[place]}]
        if folds:
            card["metrics"].append({**headline, **FOLDS, "value": folds[place]})
        path.write_text(json.dumps(card))
    return models


def told_of_models(client: FlaskClient) -> str:
    """The notice above the models, without its tags; empty where there is none."""
    _, _, notice = client.get("/models").text.partition('class="notice">')
    return re.sub(r"<[^>]*>", "", notice.partition("</p>")[0])


def test_a_model_that_did_better_than_the_default_is_named_with_both_figures(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    models = write_pair(tmp_path / "models", folds=(0.81, 0.84), test=(0.82, 0.8))
    client = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL="one").test_client()
    said = told_of_models(client)
    assert "two did better than one" in said
    assert "mean patient Dice 0.840 instead of 0.810 on 75 patients out of fold" in said
    assert "0.800 instead of 0.820 on 13 patients of the test, which chooses no model" in said
    assert "GLIOSCOPE_MODEL=two" in said
    assert client.get("/models").text.count("Used where none is chosen") == 1
    other = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL="two").test_client()
    assert "no reason to prefer it" in told_of_models(other)


def test_a_model_that_did_better_on_the_test_alone_is_not_recommended(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    models = write_pair(tmp_path / "models", folds=(0.829, 0.819), test=(0.796, 0.814))
    said = told_of_models(make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL="one").test_client())
    assert "two has a higher mean patient Dice than one" in said
    assert "on 13 patients of the test: 0.814 instead of 0.796. That is no reason to prefer it" in said
    assert said.endswith("on 75 patients out of fold, whom the networks had not seen, it has 0.819 instead of 0.829.")
    assert "GLIOSCOPE_MODEL" not in said and "did better" not in said


def test_where_nothing_out_of_fold_compares_two_models_it_is_said(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    models = write_pair(tmp_path / "models", folds=None, test=(0.7, 0.9))
    said = told_of_models(make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL="one").test_client())
    assert said.endswith(
        "no reason to prefer it, for a test chooses no model, and no figure out of fold compares the two."
    )


def test_patients_are_counted_by_what_they_were_used_for(client: FlaskClient) -> None:
    """Not by the data set that they were taken from: "88 of its 110 patients" trained no model."""
    page = client.get("/models").text
    assert "<dt>Patients</dt><dd>66 patients trained it, 9 chose the epoch, 13 tested it</dd>" in page
    assert "Trained on" not in page
    assert Training(patients=66, validation_patients=("a",) * 9, test_patients=("b",) * 13).in_words == (
        "66 patients trained it, 9 chose the epoch, 13 tested it"
    )
    assert Training(patients=1).in_words == "1 patient trained it"
    assert Training().in_words is None


def test_a_result_has_its_page_when_its_models_card_can_no_longer_be_read(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    models = write_ensemble(tmp_path / "models")
    app = make_app(GLIOSCOPE_MODELS=str(models), GLIOSCOPE_MODEL="one")
    scan = finished(app)
    (models / "one" / "card.json").write_text("{")
    response = app.test_client().get(f"/scans/{scan['id']}")
    assert response.status_code == 200 and "Channel 1" in response.text
