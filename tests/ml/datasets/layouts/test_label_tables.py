"""Tables beside volumes that say which of their masks' labels are no tumor."""

import zipfile
from pathlib import Path

import pytest

from ml.datasets import find_layout
from ml.datasets.archive import ArchiveLimits
from ml.datasets.unpacking import unpack_archive
from tests.support.volume_sets import write_brats

BIDS = "index\tname\n0\tbackground\n1\tventricles\n2\ttumor\n"
SLICER = "# Color table file\n# 3 values\n0 Background 0 0 0 0\n1 left_ventricle 128 174 128 255\n2 tumor 2 1 1 255\n"
SLICER_CSV = "LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n1,Brain,128,174,128,255\n2,tumor,2,1,1,255\n"
SNAP = '# ITK-SnAP\n 0 0 0 0 0 0 0 "Clear Label"\n    1   255    0    0        1  1  1    "CSF"\n'


def notes(folder: Path) -> list[str]:
    return [one.message for one in find_layout(folder).problems if one.code == "other_labels"]


@pytest.mark.parametrize("place", ["P1", ".", "site/P1"])
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("P1_dseg.tsv", BIDS, "ventricles is 1"),
        ("P1-label_ColorTable.ctbl", SLICER, "left ventricle is 1"),
        ("P1-label_ColorTable.csv", SLICER_CSV, "Brain is 1"),
        ("P1_labels.txt", SNAP, "CSF is 1"),
        ("snap.label", SNAP, "CSF is 1"),
    ],
)
def test_a_label_that_a_table_calls_no_tumor_is_said_beside_the_figures(
    tmp_path: Path, place: str, name: str, text: str, said: str
) -> None:
    """It counted as tumor without a word."""
    write_brats(tmp_path / Path(place).parent, "P1")
    write_brats(tmp_path / Path(place).parent, "P2", seed=1)
    (tmp_path / place / name).write_text(text)
    (note,) = notes(tmp_path)
    assert said in note and "every label above 0 counts as tumor" in note and note in find_layout(tmp_path).notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("P1_dseg.tsv", BIDS.replace("ventricles", "edema")),
        ("P1_labels.txt", SNAP.replace("CSF", "Label 1")),
        ("participants.tsv", "participant_id\tage\nP1\t40\n"),
        ("volumes.csv", "index,volume\n1,brain\n"),
        ("FreeSurferColorLUT.txt", "".join(f"{number} Left-Ventricle 1 2 3 0\n" for number in range(1, 99))),
        ("P1_labels.txt", ""),
        ("P1_dseg.tsv", "index\tname\nventricles\t1\n"),
        ("P1_dseg.tsv", "\0\n"),
    ],
)
def test_other_tables_say_nothing(tmp_path: Path, name: str, text: str) -> None:
    write_brats(tmp_path, "P1")
    (tmp_path / "P1" / name).write_text(text)
    assert not notes(tmp_path)


@pytest.mark.parametrize(("name", "text"), [("P1.ctbl", SLICER), ("P1_labels.txt", SNAP), ("P1_dseg.tsv", BIDS)])
def test_a_table_comes_out_of_a_zip(tmp_path: Path, name: str, text: str) -> None:
    write_brats(tmp_path / "set", "P1")
    (tmp_path / "set" / "P1" / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in (tmp_path / "set" / "P1").iterdir():
            archive.write(path, f"P1/{path.name}")
    (tmp_path / "out").mkdir()
    unpack_archive(tmp_path / "set.zip", tmp_path / "out", ArchiveLimits(100, 2**30, 2**30, 0), 60)
    assert len(notes(tmp_path / "out")) == 1
