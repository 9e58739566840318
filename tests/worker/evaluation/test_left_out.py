"""Check, evaluate, predict and the portal leave out the same files, and fail the same slices, in every layout."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import ml.engines
from ml.__main__ import main
from ml.datasets import check, find_layout
from ml.datasets.layouts.unknown import UnknownLayoutError
from ml.datasets.mask_names import looks_like_mask
from ml.prediction.sources import find_sources
from tests.ml.evaluation.conftest import CARD, FakeEngine
from tests.support.evaluations import begin, case_rows, run_all, slice_pixels, square, write_slice, zip_of
from tests.support.layouts import LAYOUTS, coco, image, mask, pairs_beside, with_annotations, without_masks
from tests.support.volume_sets import write_apart
from tests.worker.evaluation.test_chunks import read_report
from webapp.domain.evaluations.models import CaseOutcome
from webapp.schemas.labels import PROBLEMS

# What a layout has beside its cases, by code; what `predict` takes all the same; what fails.
EXPECTED = {
    "patient folders": {"missing_mask": 2, "mask_without_image": 1, "left_out": 2},
    "Images and Masks": {"missing_mask": 1, "mask_without_image": 1, "left_out": 2},
    "image and label": {"missing_mask": 1, "mask_without_image": 1, "left_out": 2},
    "imgs and labels": {"missing_mask": 1, "mask_without_image": 1, "left_out": 2},
    "images and masks by patient": {"missing_mask": 1, "left_out": 3},
    "Roboflow": {"missing_mask": 1, "missing_image": 3, "left_out": 2},
    "CVAT": {"missing_mask": 1, "left_out": 2},
    "CVAT's masks": {"left_out": 4},
    "LabelMe": {"missing_mask": 1, "left_out": 2},
    "CVAT's XML": {"missing_mask": 1, "left_out": 2},
    "YOLO": {"missing_mask": 1, "left_out": 2},
    "nested": {"missing_mask": 1, "left_out": 2, "doubled_folder": 2},
    "held twice": {"missing_mask": 2, "mask_without_image": 1, "left_out": 2, "doubled_folder": 9},
    "wrapped": {"missing_mask": 1, "mask_without_image": 1, "left_out": 3},
    "loose pair": {"left_out": 2},
    "other names of masks": {"missing_mask": 5, "mask_name": 6, "left_out": 2},
    "ambiguous": {"left_out": 2},
    "no files": {"missing_mask": 1, "mask_without_image": 1, "missing_file": 6, "left_out": 3},
}
FAILED = {
    "CVAT": {"d.png"},
    "LabelMe": {"3.png"},
    "CVAT's XML": {"c.png"},
    "YOLO": {"d.png"},
    "ambiguous": {"S_0.TIF", "S_0.TIFF", "two.png", "three.png", "upper.png", "lower.png"},
}


def names_of(left_out, codes_left_aside=()):
    """(code, file) of every file that is named; all of them are, in sets as small as these."""
    groups = [group if isinstance(group, dict) else vars(group) for group in left_out]
    assert all(group["count"] == len(group["files"]) for group in groups)
    return {
        (group["code"], name) for group in groups for name in group["files"] if group["code"] not in codes_left_aside
    }


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`python -m ml evaluate` with an engine that needs no model; gives report.json."""
    package = tmp_path / "models" / "fake"
    package.mkdir(parents=True)
    (package / "card.json").write_text(json.dumps(CARD.to_json()))
    monkeypatch.setenv("GLIOSCOPE_MODELS", str(package.parent))
    monkeypatch.setattr(ml.engines, "load_engine", lambda package, kind, directories: FakeEngine())

    def run(folder: Path) -> dict:
        main(["evaluate", str(folder), "--model", "fake", "--out", str(tmp_path / "out")])
        return json.loads((tmp_path / "out" / "report.json").read_text())

    return run


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_four_leave_out_the_same(runtime, resources, evaluate, name, capsys):
    folder = resources.settings.evaluation_roots[0] / "set"
    LAYOUTS[name](folder)
    checked = check(folder)
    left_out = names_of(checked.left_out)
    assert not any(text[:1].isdigit() for text in (group.message for group in checked.left_out))
    counts = {code: sum(found == code for found, _ in left_out) for code in {found for found, _ in left_out}}
    assert counts == EXPECTED[name]

    report = evaluate(folder)
    assert names_of(report["left_out"]) == left_out
    assert f"{len(left_out)} files of the folder left out" in report["headline"]
    assert f"Left out: {len(left_out)} files: " in capsys.readouterr().out
    assert {failure["image"] for failure in report["failures"]} == FAILED.get(name, set())
    said = {problem.message for problem in checked.problems}
    if name == "ambiguous":  # by the same words
        assert {failure["message"] for failure in report["failures"]} == said
    assert report["summary"]["slices"] == checked.analysis.slices

    done = run_all(runtime, begin(resources, folder))
    assert done.headline.endswith(f"{len(left_out)} files of the folder left out")
    assert names_of(done.findings["left_out"]) == left_out
    assert {*done.findings["counts"], *done.findings["warning_counts"]} <= PROBLEMS.keys()
    on_portal = json.loads(read_report(resources, done.id))
    assert names_of(on_portal["left_out"]) == left_out
    failed = {Path(item.image).name for item in case_rows(resources, done.id) if item.outcome is CaseOutcome.FAILED}
    assert failed == FAILED.get(name, set())
    assert (done.case_count, on_portal["summary"]["slices"]) == (
        report["summary"]["slices"] + len(failed),
        report["summary"]["slices"],
    )

    sources, beside = find_sources([folder])
    no_masks = {name for code, name in left_out if code == "missing_mask"}
    assert names_of(beside, {"expert_mask"}) == {item for item in left_out if item[0] != "missing_mask"}
    assert len(sources) == done.case_count + len(no_masks)
    assert not any(looks_like_mask(source.path.relative_to(folder).as_posix()) for source in sources)


def test_a_folder_without_masks_is_predicted_by_both_alike(runtime, resources):
    folder = resources.settings.evaluation_roots[0] / "set"
    without_masks(folder)
    done = run_all(runtime, begin(resources, folder))
    sources, beside = find_sources([folder])
    assert names_of(done.findings["left_out"]) == names_of(beside) == names_of(find_layout(folder).left_out)
    assert names_of(beside) == {("left_out", "anna/series.dcm")}
    assert len(sources) == done.case_count == 2
    assert done.headline.endswith("1 file of the folder left out")


def test_a_table_that_names_no_masks_is_left_out_and_one_that_does_is_read(runtime, resources, evaluate):
    folder = resources.settings.evaluation_roots[0] / "set"
    for name in ("1f3a.png", "23b1.png"):
        image(folder / "data" / name)
    (folder / "manifest.csv").write_text("image,glioma\ndata/1f3a.png,yes\n")
    done = run_all(runtime, begin(resources, folder))
    (group,) = done.findings["left_out"]
    assert group["files"] == ["manifest.csv"] and "masks that it names are taken for images" in group["message"]
    assert done.headline.endswith("1 file of the folder left out")
    assert names_of(find_sources([folder])[1]) == {("left_out", "manifest.csv")}
    mask(folder / "data" / "77b0.png")
    (folder / "manifest.csv").write_text("image,mask\ndata/1f3a.png,data/77b0.png\n")
    done, report = run_all(runtime, begin(resources, folder)), evaluate(folder)
    assert (done.findings["layout"], done.case_count, report["summary"]["slices"]) == ("table", 1, 1)
    assert names_of(done.findings["left_out"]) == names_of(report["left_out"]) == {("missing_mask", "data/23b1.png")}


def test_a_table_whose_masks_are_not_there_is_refused_by_the_words_of_check(runtime, resources):
    folder = resources.settings.evaluation_roots[0] / "set"
    image(folder / "data" / "1f3a.png")
    (folder / "manifest.csv").write_text("image,mask\ndata/1f3a.png,data/gone.png\n")
    done = run_all(runtime, begin(resources, folder))
    with pytest.raises(UnknownLayoutError) as raised:
        check(folder)
    assert done.error_message.endswith(raised.value.finding)
    assert "no image of it is there with its mask (the first: 'data/1f3a.png'" in done.error_message


ZIPPED = (
    "patient folders",
    "held twice",
    "CVAT",
    "CVAT's masks",
    "LabelMe",
    "CVAT's XML",
    "YOLO",
    "annotations",
    "apart",
)


@pytest.mark.parametrize("name", ZIPPED)
def test_a_zip_leaves_out_what_its_folder_does(runtime, resources, tmp_path, name):
    from ml.datasets.archive import ArchiveLimits
    from ml.datasets.unpacking import unpack_archive

    {**LAYOUTS, "annotations": with_annotations, "apart": write_apart}[name](tmp_path / "set")
    (tmp_path / "set.zip").write_bytes(zip_of(tmp_path / "set"))
    (tmp_path / "unpacked").mkdir()
    unpack_archive(tmp_path / "set.zip", tmp_path / "unpacked", ArchiveLimits(1000, 10**8, 10**9), 60)
    layout, unpacked = find_layout(tmp_path / "set"), find_layout(tmp_path / "unpacked")
    assert names_of(unpacked.left_out) == names_of(layout.left_out)
    assert len(unpacked.cases) == len(layout.cases)


def copied_patient(folder: Path) -> None:
    pairs_beside(folder / "anna", "1", "2")
    pairs_beside(folder / "ben", "1")
    shutil.copytree(folder / "anna", folder / "cleo")


def nothing_annotated(folder: Path) -> None:
    for name in ("a.png", "b.png"):
        image(folder / name)
    coco(folder / "_annotations.coco.json", ["a.png", "b.png"], [None, None])


def mirrored(folder: Path) -> None:
    for patient in range(3):
        for index in range(4):
            found = square(5 + 2 * patient, 5 + 2 * index, 10)
            pixels = slice_pixels(4 * patient + index, 5 + 2 * patient, 5 + 2 * index, 10)
            write_slice(folder, f"patient_{patient}", f"p{patient}_{index}", pixels, np.fliplr(found))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            mirrored,
            "The masks fit the images far better mirrored left to right: Dice 0.00 as given, 1.00 so, over 12 slices"
            " with tumor, better for 3 of 3 patients.",
        ),
        (copied_patient, "4 slices are equal to another patient's and count for each"),
        (nothing_annotated, "_annotations.coco.json has no annotation of tumor for its 2 images"),
    ],
)
def test_what_makes_the_figures_other_than_they_look_stands_beside_them(runtime, resources, evaluate, make, sentence):
    folder = resources.settings.evaluation_roots[0] / "set"
    make(folder)
    done = run_all(runtime, begin(resources, folder))
    report, on_portal = evaluate(folder), json.loads(read_report(resources, done.id))
    for caveats in (report["summary"]["caveats"], done.summary["caveats"]):
        assert caveats[0].startswith(sentence)
    assert report["misfits"] == on_portal["misfits"]
    assert not any("hardly overlap" in caveat for caveat in done.summary["caveats"])


@pytest.mark.parametrize(
    ("file_name", "code", "sentence"),
    [
        ("a_seg.png", "no_images", "A mask by its name (`_seg`), which is not read"),
        ("a_mask.gif", "no_images", "1 file that is a mask by its name and cannot be read; a_mask.gif: The kind .gif"),
        ("_annotations.coco.json", "bad_annotations", "_annotations.coco.json cannot be read as JSON"),
    ],
)
def test_truth_that_cannot_be_read_fails_an_evaluation_by_name(runtime, resources, file_name, code, sentence):
    """It never becomes one without expert masks."""
    folder = resources.settings.evaluation_roots[0] / "set"
    image(folder / "a.png")
    image(folder / file_name) if file_name.endswith(".png") else (folder / file_name).write_text("[")
    done = run_all(runtime, begin(resources, folder))
    assert done.error_code == code and sentence in done.error_message and str(folder) not in done.error_message


def test_two_patients_whose_slices_have_the_same_names_are_scans(runtime, resources):
    folder = resources.settings.evaluation_roots[0] / "set"
    for patient in ("anna", "ben"):
        image(folder / patient / "1.png")
    assert run_all(runtime, begin(resources, folder)).case_count == 2
