"""Splits: by patient, seeded, alike in tumor, and tied to their data."""

import json
from itertools import combinations

import numpy as np
import pytest

from ml.__main__ import main
from ml.datasets import DatasetError, Split, check, make_folds, make_split, read_patients, read_split, write_split
from ml.datasets.analysis import PatientCounts
from ml.datasets.time_points import person_of
from tests.support.layouts import image, mask, roboflow

from .conftest import draw_mask

DIGEST = "0" * 64
TIMES = ("baseline", "followup")


def patients(count=60):
    """Patients as unequal as real ones: 20 to 80 slices, half to a twentieth of them with tumor."""
    random = np.random.default_rng(7)
    drawn = []
    for index in range(count):
        slices = int(random.integers(20, 80))
        tumor_slices = int(slices * random.uniform(0.05, 0.5))
        drawn.append(
            PatientCounts(
                f"p{index:02}", slices, tumor_slices, slices * 65536, tumor_slices * int(random.integers(200, 5000))
            )
        )
    return drawn


def sides_of(split):
    return split.folds or (split.train, split.validation, split.test)


@pytest.mark.parametrize(
    "split", [make_split(patients(), DIGEST), make_folds(patients(), DIGEST, 5)], ids=["shares", "folds"]
)
def test_every_patient_is_on_exactly_one_side(split):
    sides = sides_of(split)
    assert sorted(name for side in sides for name in side) == [f"p{index:02}" for index in range(60)]
    assert all(not set(a) & set(b) for a, b in combinations(sides, 2))


def test_the_shares_are_kept():
    assert [len(side) for side in sides_of(make_split(patients(), DIGEST))] == [48, 6, 6]
    assert [len(side) for side in sides_of(make_split(patients(), DIGEST, shares=(90, 10, 0)))] == [54, 6, 0]
    assert [len(side) for side in sides_of(make_split(patients(3), DIGEST, shares=(98, 1, 1)))] == [1, 1, 1]
    assert [len(side) for side in make_folds(patients(17), DIGEST, 5).folds] == [4, 4, 3, 3, 3]


@pytest.mark.parametrize("seed", range(4))
def test_the_sides_are_alike_in_tumor(seed):
    everybody = patients()
    tumor_share = sum(p.tumor_slices for p in everybody) / sum(p.slices for p in everybody)
    for split in (make_split(everybody, DIGEST, seed), make_folds(everybody, DIGEST, 5, seed)):
        for counts in split.counts.values():
            assert counts["tumor_slice_share"] == pytest.approx(tumor_share, rel=0.15)


def test_the_seed_alone_decides():
    shuffled = np.random.default_rng(1).permutation(np.array(patients(), dtype=object)).tolist()
    shuffled = [PatientCounts(*row) for row in shuffled] if isinstance(shuffled[0], list) else shuffled
    assert make_split(patients(), DIGEST, 3) == make_split(shuffled, DIGEST, 3)
    assert make_split(patients(), DIGEST, 3) != make_split(patients(), DIGEST, 4)


def test_excluded_patients_are_on_no_side():
    split = make_split(patients(), DIGEST, excluded=["p05", "p10"])
    assert split.excluded == ("p05", "p10")
    assert not {"p05", "p10"} & {name for side in sides_of(split) for name in side}
    with pytest.raises(DatasetError, match="'p99'"):
        make_split(patients(), DIGEST, excluded=["p99"])


def test_a_person_is_excluded_at_all_times(caplog):
    """`--exclude` of a first examination left the second one of the same head in training."""
    times = [PatientCounts(f"{one}_{when}", 4, 2, 4096, 100) for one in ("P1", "P2", "P3", "P4") for when in TIMES]
    for split in (
        make_split(times, DIGEST, shares=(50, 50, 0), excluded=["P2_baseline"]),
        make_folds(times, DIGEST, 2, excluded=["P2_baseline"]),
    ):
        assert split.excluded == ("P2_baseline", "P2_followup")
        assert not any(name.startswith("P2") for side in (*sides_of(split), *split.folds) for name in side)
    assert "excluded, too: P2_followup." in caplog.text


def test_a_fold_trains_on_the_others():
    split = make_folds(patients(), DIGEST, 5)
    fold = split.fold(2)
    assert fold.validation == split.folds[2]
    assert set(fold.train) == {name for k, side in enumerate(split.folds) if k != 2 for name in side}
    with pytest.raises(DatasetError, match="0 to 4"):
        split.fold(5)


@pytest.mark.parametrize("shares", [(80, 10), (80, 10, 5), (0, 50, 50), (110, -5, -5), (float("nan"), 10, 10)])
def test_shares_that_are_none(shares):
    with pytest.raises(DatasetError, match="sum 100"):
        make_split(patients(), DIGEST, shares=shares)


@pytest.mark.parametrize("folds", [-1, 1, 61])
def test_folds_that_cannot_be(folds):
    with pytest.raises(DatasetError, match=r"folds|sides"):
        make_folds(patients(), DIGEST, folds)


def test_two_patients_cannot_be_on_three_sides():
    with pytest.raises(DatasetError, match="2 patients cannot be divided into 3 sides"):
        make_split(patients(2), DIGEST)


def test_a_data_set_without_tumor_can_be_divided():
    healthy = [PatientCounts(f"h{index}", 10, 0, 100, 0) for index in range(10)]
    assert len(make_split(healthy, DIGEST).train) == 8


def test_a_split_is_read_back_and_belongs_to_its_data(patient_folders, tmp_path):
    report = check(patient_folders)
    for split in (make_split(report.patients, report.data_sha256), make_folds(report.patients, report.data_sha256, 3)):
        write_split(split, tmp_path / "splits" / "split.json")
        assert read_split(tmp_path / "splits" / "split.json", patient_folders) == split
    assert [path.name for path in (tmp_path / "splits").iterdir()] == ["split.json"]


def change_content(folder):
    draw_mask(77).save(folder / "anna" / "anna_0_mask.tif")


def change_name(folder):
    (folder / "anna").rename(folder / "anton")


def add_slice(folder):
    for ending in ("", "_mask"):
        (folder / "ben" / f"ben_9{ending}.tif").write_bytes((folder / "ben" / f"ben_0{ending}.tif").read_bytes())


@pytest.mark.parametrize("change", [change_content, change_name, add_slice])
def test_other_data_are_refused(patient_folders, tmp_path, change):
    report = check(patient_folders)
    write_split(make_split(report.patients, report.data_sha256), tmp_path / "split.json")
    change(patient_folders)
    with pytest.raises(DatasetError, match="made of other data"):
        read_split(tmp_path / "split.json", patient_folders)


def test_polygons_are_a_part_of_the_digest(coco_folder, annotations):
    before = check(coco_folder).data_sha256
    annotations(lambda document: document["annotations"].clear())
    assert check(coco_folder).data_sha256 != before


def test_what_else_lies_in_the_folder_does_not_count(patient_folders):
    before = check(patient_folders).data_sha256
    (patient_folders / "README.md").write_text("read me")
    assert check(patient_folders).data_sha256 == before


@pytest.mark.parametrize(
    "edit", ["not JSON", {"format": "other"}, {"train": "p01"}, {"seed": None}, {"test": ["p01", "p01"]}]
)
def test_a_damaged_split_is_refused(tmp_path, edit):
    path = tmp_path / "split.json"
    write_split(make_split(patients(), DIGEST), path)
    path.write_text(edit if isinstance(edit, str) else json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(DatasetError, match=r"split\.json.*make it"):
        read_split(path)


def test_a_name_that_is_no_patient_of_the_data_is_refused(patient_folders, tmp_path):
    path, report = tmp_path / "split.json", check(patient_folders)
    write_split(make_split(report.patients, report.data_sha256), path)
    document = json.loads(path.read_text())
    document["validation"] = [*document["validation"], "anna_2"]
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=r"names anna_2, who is no patient of .*called as anna"):
        read_split(path, patient_folders)


@pytest.mark.parametrize("key", ["validation", "val", "valid"])
def test_a_division_of_ones_own(patient_folders, tmp_path, caplog, key):
    path, report = tmp_path / "mine.json", check(patient_folders)
    first, second, *rest = [counts.patient for counts in report.patients]
    path.write_text(json.dumps({"train": [second], key: [first]}), encoding="utf-8-sig")  # as Notepad writes it
    split = read_split(path, patient_folders)
    assert (split.train, split.validation, split.test) == ((second,), (first,), ())
    assert (split.excluded, split.data_sha256) == (tuple(rest), report.data_sha256)
    assert f"names 2 of {2 + len(rest)} patients; left out: {rest[0]}" in caplog.text


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"train": ["anna"], "val": ["anna"]}, "anna on two sides; leave it on one"),
        ({"train": ["anna"], "val": ["bert"]}, "names bert, who is no patient"),
        ({"train": ["anna"], "fold": 0}, "'fold' is no list of one side's patients"),
        ({"train": ["anna"], "val": [], "valid": ["ben"]}, "'valid' is no list of one side's patients"),
        ([{"train": ["anna"], "val": ["ben"]}], "or write"),
    ],
)
def test_a_division_of_ones_own_that_cannot_be_kept(patient_folders, tmp_path, document, sentence):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=sentence):
        read_split(path, patient_folders)


def test_lists_of_patients(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("# opened once\nanna\n\n ben \nanna\n")
    assert read_patients(path) == ("anna", "ben")
    path.write_text("\n")
    with pytest.raises(DatasetError, match="names no patient"):
        read_patients(path)
    with pytest.raises(DatasetError, match="absent"):
        read_patients(tmp_path / "absent.txt")


def test_lists_of_patients_may_have_a_byte_order_mark_and_comments(tmp_path):
    path = tmp_path / "test.txt"
    path.write_bytes("\ufeffanna\r\nben  # opened once\r\n  # cleo\r\nno#comment\r\n".encode())
    assert read_patients(path) == ("anna", "ben", "no#comment")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_lists_of_patients_may_be_those_of_a_shell(tmp_path, encoding):
    """PowerShell's `>` writes UTF-16, and `ls -d */` a slash; both were refused."""
    (tmp_path / "test.txt").write_text("anna/\nben\\\nMüller\n", encoding)
    assert read_patients(tmp_path / "test.txt") == ("anna", "ben", "Müller")


def test_a_list_of_patients_that_is_too_long_or_no_text_is_refused(tmp_path):
    path = tmp_path / "test.txt"
    for content, sentence in (
        (b"a\n" * 600_000, "more than 1,000,000 bytes"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=sentence):
            read_patients(path)


def test_a_division_that_the_data_come_with_is_kept(tmp_path, capsys):
    roboflow(tmp_path / "set")
    (tmp_path / "set" / "valid" / "unlisted.png").unlink()
    for path in (tmp_path / "set").rglob("_annotations.coco.json"):
        document = json.loads(path.read_text())
        document["images"].pop()
        document["annotations"].pop()
        path.write_text(json.dumps(document))
    assert check(tmp_path / "set").is_sound
    assert main(["split", str(tmp_path / "set"), "--out", str(tmp_path / "split.json")]) == 0
    split = read_split(tmp_path / "split.json", tmp_path / "set")
    assert split.train == ("train/train_0", "train/train_1", "train/train_2")
    assert (split.validation, split.test) == (("valid/valid_0", "valid/valid_1"), ("test/test_0",))
    assert "as the folders divide" in capsys.readouterr().out
    assert main(["split", str(tmp_path / "set"), "--out", str(tmp_path / "other.json"), "--shares", "50,50,0"]) == 0
    assert len(read_split(tmp_path / "other.json").validation) == 3


def test_a_patient_on_two_sides_of_the_folders_division_is_named_and_the_division_not_kept(tmp_path):
    for side, number in (("Train", 1), ("val", 2)):
        image(tmp_path / side / "images" / f"TCGA_DU_6404_19850629_{number}.png")
        mask(tmp_path / side / "masks" / f"TCGA_DU_6404_19850629_{number}.png")
    report = check(tmp_path)
    (problem,) = report.warnings
    assert (problem.code, report.is_sound, report.sides) == ("shared_patient", True, {})
    assert "(the first: TCGA_DU_6404)" in problem.message


def test_a_person_on_two_sides_at_different_times_is_named_and_the_division_not_kept(tmp_path):
    for side, number, time in (("train", 1, 0), ("val", 1, 1), ("val", 2, 0)):
        folder = tmp_path / side / f"BraTS-GLI-{number:05}-{time:03}"
        image(folder / "s_1.png")
        mask(folder / "s_1_mask.png")
    report = check(tmp_path)
    (problem,) = (problem for problem in report.warnings if problem.code == "shared_patient")
    assert (report.is_sound, report.sides, len(problem.files)) == (True, {}, 2)
    assert "1 patient is on several sides" in problem.message and "BraTS-GLI-00001)" in problem.message


@pytest.mark.parametrize("side", ["validation", "test", "folds"])
def test_a_split_with_a_person_on_two_sides_at_different_times_is_refused(tmp_path, side):
    first, second = ("BraTS-GLI-00001-000", "BraTS-GLI-00002-000"), ("BraTS-GLI-00001-001",)
    sides = {"folds": (first, second)} if side == "folds" else {"train": first, side: second}
    write_split(Split("0" * 64, 1, **sides), tmp_path / "split.json")
    with pytest.raises(DatasetError, match="BraTS-GLI-00001 on two sides, at different times"):
        read_split(tmp_path / "split.json")
    write_split(Split("0" * 64, 1, train=first, excluded=second), tmp_path / "split.json")
    assert read_split(tmp_path / "split.json").excluded == second


def test_two_times_of_one_person_are_on_one_side():
    patients = [
        PatientCounts(f"BraTS-GLI-{number:05}-{time:03}", 10, 5, 1000, 10 + number)
        for number in range(20)
        for time in range(2)
    ]
    split = make_split(patients, "0" * 64, shares=(50, 25, 25))
    sides = [{person_of(patient) for patient in side} for side in (split.train, split.validation, split.test)]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 20
    assert len(split.train) == 20
    folds = make_folds(patients, "0" * 64, 4).folds
    assert sum(len({person_of(patient) for patient in fold}) for fold in folds) == 20


def test_several_series_of_one_patient_are_on_one_side():
    patients = [
        PatientCounts(f"study/P{number}/series {series}", 10, 5, 1000, 10 + number)
        for number in range(12)
        for series in (1, 2, 3)
    ]
    split = make_split(patients, "0" * 64, shares=(50, 25, 25))
    sides = [{person_of(patient) for patient in side} for side in (split.train, split.validation, split.test)]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 12
    assert person_of("series 1") == "series 1" and person_of("BraTS-GLI-00001-000/series 2") == "BraTS-GLI-00001"
