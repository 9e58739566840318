"""What an evaluation leaves on the disk: pictures, a page that needs nothing else, and never half of it."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ml.atomic_files import check_is_free
from ml.datasets import list_cases
from ml.engines import Inference
from ml.engines.flip_tta import FlipTtaEngine
from ml.evaluation.report import Settings, make_report
from ml.evaluation.run import evaluate_cases
from ml.evaluation.scoring import slices_sha256
from ml.rendering.error_overlay import CORRECT, EXTRA, MISSED, error_overlay_image
from ml.reports import folder
from ml.reports.folder import write_results
from ml.version import VERSION
from tests.ml.evaluation.conftest import SIDE, square, write_case
from tests.support.reports import TITLE


@pytest.fixture
def report(engine, data):
    write_case(data, "<b>three&", "a", square(2, 2, 6), square(2, 2, 7))
    return make_report(engine, evaluate_cases(engine, list_cases(data), 0.5), Settings(0.5, False, 1))


@pytest.fixture
def out(engine, report, tmp_path) -> Path:
    write_results(tmp_path / "out", engine, report, TITLE)
    return tmp_path / "out"


def test_everything_is_there(out):
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.svg" for name in ("patient_dice", "dice_by_size", "roc", "reliability", "verdicts")}
    assert {"metrics.csv", "patients.csv", "report.json", "report.html", "gallery/worst_1.png"} | figures <= names
    assert not list(out.parent.glob(".*"))


def test_figures_are_svg_with_title_and_description(out):
    for path in (out / "figures").iterdir():
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg")
        assert root.get("role") == "img"
        assert [child.tag.rpartition("}")[2] for child in root[:2]] == ["title", "desc"]
        assert root[1].text


def test_style_of_the_page_is_whole(out):
    style = (out / "report.html").read_text().partition("<style>")[2].partition("</style>")[0]
    depth = [style[:end].count("{") - style[:end].count("}") for end in range(len(style) + 1)]
    assert (min(depth), depth[-1], style.count("@media print {")) == (0, 0, 1)


def test_page_is_self_contained_and_begins_with_the_headline(out):
    page = (out / "report.html").read_text()
    body = page.split("<body>")[1]
    assert re.match(r"\s*<main>\s*<h1>Patient Dice 0\.\d{3}, 95 % CI", body)
    assert "Research use only. Not for diagnosis." in body
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert not re.findall(r"https?://", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert "<script" not in page


def test_names_of_folders_are_escaped(out):
    assert "<b>three&" not in (out / "report.html").read_text()
    assert "&lt;b&gt;three&amp;" in (out / "report.html").read_text()
    assert "&lt;b&gt;three&amp;" in (out / "figures" / "patient_dice.svg").read_text()


def test_worst_slice_comes_first(out):
    worst = np.asarray(Image.open(out / "gallery" / "worst_1.png"))
    assert tuple(worst[4, 4]) == MISSED  # patient two's tumor, not found
    assert (out / "gallery" / "false_alarm_1.png").is_file()


def test_the_gallery_is_drawn_of_the_maps_that_the_evaluation_computed(engine, report, out, tmp_path, monkeypatch):
    def pictures(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (folder / "gallery").iterdir()}

    forgotten = replace(report, outcome=replace(report.outcome, gallery_maps={}))
    write_results(tmp_path / "computed again", engine, forgotten, TITLE)
    assert pictures(tmp_path / "computed again") == pictures(out)
    monkeypatch.setattr(engine, "infer", None)
    monkeypatch.setattr(engine, "probability_map", None)
    write_results(tmp_path / "not again", engine, report, TITLE)
    assert pictures(tmp_path / "not again") == pictures(out)


def test_full_disk_leaves_nothing(engine, report, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "render_page", fail)
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="No space left"):
        write_results(tmp_path / "there" / "out", engine, report, TITLE)
    assert list((tmp_path / "there").iterdir()) == []


def test_older_results_are_never_overwritten(engine, report, out):
    before = (out / "report.json").read_bytes()
    with pytest.raises(FileExistsError, match="appeared while this ran"):
        write_results(out, engine, report, TITLE)
    assert (out / "report.json").read_bytes() == before
    # The work of an hour is not thrown away.
    assert (out.with_name("out-2") / "report.json").is_file()
    with pytest.raises(FileExistsError):
        check_is_free(out / "report.json")


def test_error_overlay_has_three_colors():
    truth, mask = square(0, 0, 8) > 0, square(0, 4, 8) > 0
    image = np.asarray(error_overlay_image(np.zeros((SIDE, SIDE, 3), dtype=np.uint8), truth, mask))
    assert (tuple(image[0, 0]), tuple(image[0, 4]), tuple(image[0, 11])) == (MISSED, CORRECT, EXTRA)
    assert tuple(image[20, 20]) == (0, 0, 0)


def test_flips_average_what_was_turned_back(engine):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    flipped = FlipTtaEngine(engine)
    assert np.array_equal(flipped.probability_map(pixels), pixels[..., 0])

    class Corner:
        name, card = "corner", engine.card

        def probability_map(self, pixels):
            return self.infer(pixels).probability_u8

        def infer(self, pixels, context=None):
            q = np.zeros(pixels.shape[:3], dtype=np.uint8)
            q[:, 0, 0] = 200
            return Inference(q)

    q = FlipTtaEngine(Corner()).probability_map(pixels)
    assert [q[0, row, column] for row in (0, -1) for column in (0, -1)] == [50] * 4


def test_the_title_block_names_data_model_and_program(out):
    page = (out / "report.html").read_text()
    document = json.loads((out / "report.json").read_text())
    digest = document["summary"]["slices_sha256"]
    assert document["title"] == {
        "name": "A set",
        "data_set": "set",
        "made_at": "2026-11-28T21:05:00+00:00",
        "program": f"Glioscope {VERSION}",
    }
    for words in ("A set", "28 November 2026, 21:05 UTC", digest, f"Glioscope {VERSION}"):
        assert f"<dd>{words}</dd>" in page


def test_the_digest_is_of_what_slices_and_masks_show_and_not_of_their_files(engine, data, tmp_path):
    def digest(folder: Path) -> str:
        return slices_sha256(evaluate_cases(engine, list_cases(folder), 0.5).results)

    before = digest(data)
    moved = tmp_path / "moved"
    for number, path in enumerate(sorted(data.rglob("*_mask.png"))):
        image = path.with_name(path.name.replace("_mask", ""))
        (moved / f"p{number}").mkdir(parents=True)
        Image.open(image).save(moved / f"p{number}" / "x.tif")
        Image.open(path).save(moved / f"p{number}" / "x_mask.tif")
    assert digest(moved) == before
    path = next(path for path in sorted(data.rglob("*_mask.png")) if np.asarray(Image.open(path)).any())
    mask = np.roll(np.asarray(Image.open(path)) > 0, 1, axis=0)  # of as many pixels
    Image.fromarray(mask).save(path)
    assert digest(data) != before
