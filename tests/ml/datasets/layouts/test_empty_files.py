"""A file without bytes is called so in one wording, whatever it should have been."""

import re
import zipfile
from pathlib import Path

import pytest

from ml.datasets import DatasetError, check
from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack
from ml.scans.scan import EMPTY
from tests.support.layouts import image, mask, pairs_beside

WORDS = "is empty (0 bytes); copy, download or export it again"
LIMITS = ArchiveLimits(100, 10**6, 10**6)


@pytest.mark.parametrize("name", ["anna/1.png", "anna/1_mask.png"])
def test_an_image_and_a_mask(tmp_path, name):
    pairs_beside(tmp_path / "anna", "1", "2")
    (tmp_path / name).write_bytes(b"")
    (problem,) = check(tmp_path).problems
    assert problem.files == (name,) and problem.message == f"The file {WORDS}."


def test_volumes(tmp_path):
    (tmp_path / "anna").mkdir()
    for name in ("anna-t2f.nii.gz", "anna-seg.nii.gz"):
        (tmp_path / "anna" / name).touch()
    (problem,) = check(tmp_path).problems
    assert problem.message == f"anna-t2f.nii.gz: The file {WORDS}."


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("_annotations.coco.json", "a.png"),
        ("annotations/instances_default.json", "images/a.png"),
        ("dataset.json", "imagesTr/a_0000.nii.gz"),
        ("labelmap.txt", "JPEGImages/a.png"),
    ],
)
def test_what_describes_the_data(tmp_path, name, around):
    (tmp_path / around).parent.mkdir(exist_ok=True)
    if around.endswith(".png"):
        image(tmp_path / around)
    else:
        (tmp_path / around).touch()
    if name == "labelmap.txt":
        mask(tmp_path / "SegmentationClass" / "a.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=rf"{re.escape(name.rpartition('/')[2])} {re.escape(WORDS)}"):
        check(tmp_path)


def test_an_archive(tmp_path):
    (tmp_path / "set.zip").touch()
    with pytest.raises(ArchiveError) as refused:
        unpack(tmp_path / "set.zip", tmp_path, ArchiveLimits(10, 10, 10))
    assert refused.value.message == f"The archive {WORDS}."


def test_the_page_says_it_in_the_same_words():
    assert WORDS == EMPTY
    script = Path(__file__).parents[4] / "static" / "js" / "scans" / "portal.js"
    assert f"The file {WORDS}." in script.read_text()


def test_a_file_without_an_ending(tmp_path):
    pairs_beside(tmp_path / "anna", "1")
    (tmp_path / "anna" / "IM0001").touch()
    (tmp_path / "anna" / "IM0002").write_bytes(b"anything")
    said = {group.files: group.message for group in check(tmp_path).left_out}
    assert said.pop(("anna/IM0001",)) == f"The file {WORDS}."
    assert "no ending" in said.pop(("anna/IM0002",)) and not said


def test_a_file_without_an_ending_in_an_archive(tmp_path):
    pairs_beside(tmp_path / "set" / "anna", "1")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in (tmp_path / "set" / "anna").iterdir():
            archive.write(path, f"anna/{path.name}")
        archive.writestr("anna/IM0001", b"")
        archive.writestr("anna/IM0002", b"anything")
    (tmp_path / "unpacked").mkdir()
    unpack(tmp_path / "set.zip", tmp_path / "unpacked", LIMITS)
    said = {group.files: group.message for group in check(tmp_path / "unpacked").left_out}
    assert said[("anna/IM0001",)] == f"The file {WORDS}." and "no ending" in said[("anna/IM0002",)]
