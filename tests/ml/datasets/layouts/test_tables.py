"""A table that names image and mask in each row, beside files whose names do not tell them."""

from pathlib import Path

import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.archive import ArchiveLimits, unpack
from ml.prediction.sources import find_sources
from tests.support.evaluations import zip_of
from tests.support.layouts import image, mask


def write(folder: Path, *names: str) -> None:
    for name in names:
        image(folder / f"x{name}.png")
        mask(folder / f"y{name}.png")


@pytest.mark.parametrize(
    "text",
    [
        "image,mask\nx1.png,y1.png\nx2.png,y2.png\n",
        "\ufeffimg_path;mask_path;age\n/kaggle/input/set/x1.png;/kaggle/input/set/y1.png;7\n./x2.png;y2.png;8",
        "patient_id\tImage Path\tMask Path\nA\tC:\\data\\x1.png\tC:\\data\\y1.png\nB\tx2.png\ty2.png\n",
        ",image_path,mask_path,diagnosis\n0,../set/x1.png,../set/y1.png,1\n1,x2.png,y2.png,0\n\n",
        "patient_id,image_path,mask_path,mask\nA,x1.png,y1.png,1\nB,x2.png,y2.png,0\n",
        "mask,mask_path,image\n,y1.png,x1.png\n0,y2.png,x2.png\n",
        "Nr;Bild;Maske\n1;x1.png;y1.png\n2;x2.png;y2.png\n",
        "Imagen;Máscara\nx1.png;y1.png\nx2.png;y2.png\n",
        "file_name,mask_file_name\nx1.png,y1.png\nx2.png,y2.png\n",
    ],
)
def test_pairs_are_those_of_the_rows(tmp_path: Path, text: str) -> None:
    write(tmp_path, "1", "2")
    (tmp_path / "data.csv").write_text(text)
    report = check(tmp_path)
    assert (report.layout, report.problems, report.left_out) == ("table", (), ())
    assert {(case.image.name, case.mask.name) for case in find_layout(tmp_path).cases if case.mask} == {
        ("x1.png", "y1.png"),
        ("x2.png", "y2.png"),
    }
    assert [one.patient for one in report.patients] == (["A", "B"] if "patient" in text else ["x1", "x2"])
    assert {one.path.name for one in find_sources([tmp_path])[0]} == {"x1.png", "x2.png"}


@pytest.mark.parametrize(
    "column",
    [
        *("patient", "Patient ID", "subject_name", "case", "patient_number", "PatientNo", "participant_id", "pid"),
        *(
            "ID_Paciente",
            "Código paciente",
            "N° patient",
            "Patienten-ID",
            "Proband",
            "Fall-Nr.",
            "id paziente",
            "Sujet",
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_column_of_patients_is_known_in_several_languages(tmp_path: Path, column: str, encoding: str) -> None:
    write(tmp_path, "1", "2", "3")
    rows = ("x1.png;y1.png;A", "x2.png;y2.png;A", "x3.png;y3.png;B")
    (tmp_path / "data.csv").write_bytes("\n".join((f"Imagen;Máscara;{column}", *rows)).encode(encoding))
    assert [case.patient for case in find_layout(tmp_path).cases] == ["A", "A", "B"]


@pytest.mark.parametrize("head", ["case,patient", "patient,case", "patient_name,patient_id"])
def test_of_several_columns_of_patients_that_of_fewest_in_all_rows_counts(tmp_path: Path, head: str) -> None:
    """Two such columns were none, and each image was a patient."""
    write(tmp_path, "1", "2", "3")
    other = ("", "", "") if "name" in head else ("1", "2", "3")
    pairs = zip(other, "AAB", strict=True)
    cells = [(patient, case) if head.startswith("patient,") else (case, patient) for case, patient in pairs]
    rows = [f"{','.join(both)},x{number}.png,y{number}.png" for number, both in enumerate(cells, start=1)]
    (tmp_path / "data.csv").write_text("\n".join((f"{head},image,mask", *rows)))
    assert [case.patient for case in find_layout(tmp_path).cases] == ["A", "A", "B"]


@pytest.mark.parametrize("column", ["patient_age", "n_cases", "falls", "casual", "patients_sex", "personal"])
def test_a_column_of_something_else_names_no_patient(tmp_path: Path, column: str) -> None:
    write(tmp_path, "1", "2")
    (tmp_path / "data.csv").write_text(f"image,mask,{column}\nx1.png,y1.png,7\nx2.png,y2.png,7\n")
    assert [case.patient for case in find_layout(tmp_path).cases] == ["x1", "x2"]


def test_a_table_in_the_folder_of_a_side_is_of_that_side(tmp_path: Path) -> None:
    """Hugging Face's `metadata.csv` of each split, by which masks were taken for images."""
    for side, name in (("train", "1"), ("test", "2")):
        write(tmp_path / side, name)
        (tmp_path / side / "metadata.csv").write_text(f"file_name,mask_file_name\nx{name}.png,y{name}.png\n")
    layout = find_layout(tmp_path)
    assert all(case.has_truth for case in layout.cases)
    assert (layout.sides["train"], layout.sides["test"]) == (("train/x1",), ("test/x2",))


def test_rows_that_cannot_be_right_are_named_and_no_image_is_without_tumor(tmp_path: Path) -> None:
    write(tmp_path, "1", "2", "3", "4", "5")
    rows = ("x1.png,y1.png", "x2.png,", "x3.png,y3.png", "x3.png,y4.png", "gone.png,y5.png", "x5.png,x1.png")
    (tmp_path / "data.csv").write_text("\n".join(("image,mask", *rows)))
    layout = find_layout(tmp_path)
    assert {problem.code: problem.files[0] for problem in layout.problems if problem.code != "missing_mask"} == {
        "missing_image": "gone.png",
        "mask_without_image": "y5.png",
        "doubled_mask": "x5.png",
    }
    usable = [case.image.name for case in layout.cases if case.has_truth and case.fault is None]
    assert usable == ["x1.png"]
    assert not any(case.has_truth for case in layout.cases if case.image.name in ("x2.png", "x4.png"))


def test_sides_have_tables_of_their_own_and_several_others_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")
    for name, number in (("train", 1), ("val", 2)):
        (tmp_path / f"{name}.csv").write_text(f"image,mask\nx{number}.png,y{number}.png\n")
    assert find_layout(tmp_path).sides == {"train": ("x1",), "validation": ("x2",), "test": ()}
    (tmp_path / "val.csv").rename(tmp_path / "other.csv")
    with pytest.raises(DatasetError, match=r"several tables that name images and masks \(other.csv, train.csv\)"):
        find_layout(tmp_path)


def test_masks_by_their_names_come_before_a_table(tmp_path: Path) -> None:
    image(tmp_path / "P" / "a.png")
    mask(tmp_path / "P" / "a_mask.png")
    (tmp_path / "data.csv").write_text("image,mask\nP/a_mask.png,P/a.png\n")
    assert find_layout(tmp_path).name == "patient folders"


def test_a_path_that_leads_out_opens_nothing(tmp_path: Path) -> None:
    write(tmp_path / "out", "1")
    write(tmp_path / "set", "2")
    (tmp_path / "set" / "data.csv").write_text("image,mask\n../out/x1.png,../out/y1.png\n")
    with pytest.raises(DatasetError, match="no image of it is there with its mask"):
        find_layout(tmp_path / "set")


def test_a_zip_keeps_a_table(tmp_path: Path) -> None:
    write(tmp_path / "set", "1")
    (tmp_path / "set" / "data.csv").write_text("image,mask\nx1.png,y1.png\n")
    (tmp_path / "set.zip").write_bytes(zip_of(tmp_path / "set"))
    (tmp_path / "unpacked").mkdir()
    unpack(tmp_path / "set.zip", tmp_path / "unpacked", ArchiveLimits(100, 10**7, 10**8))
    assert find_layout(tmp_path / "unpacked").name == "table"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-be", "utf-8-sig"])
def test_a_table_of_excel_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    write(tmp_path / "M\u00fcller", "1")
    text = "Patient;Image;Mask\r\nM\u00fcller;M\u00fcller\\x1.png;M\u00fcller\\y1.png\r\n"
    mark = "\ufeff" if encoding.endswith("be") else ""
    (tmp_path / "liste.csv").write_bytes(f"{mark}{text}".encode(encoding))
    (case,) = find_layout(tmp_path).cases
    assert (case.patient, case.image.name, case.mask and case.mask.name) == ("M\u00fcller", "x1.png", "y1.png")


def test_of_other_tables_the_first_line_alone_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "1")
    (tmp_path / "measures.csv").write_text("patient,volume\n" + "A,1\n" * 100_000)
    (tmp_path / "one_line.csv").write_text("image,mask" * 100_000)
    (tmp_path / "data.csv").write_text("image,mask\nx1.png,y1.png\n")
    whole: list[str] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: whole.append(path.name) or read(path))
    assert find_layout(tmp_path).name == "table"
    assert set(whole) == {"data.csv"}


def test_a_table_that_names_patients_of_images_is_said_not_to_be_read(tmp_path: Path) -> None:
    """Slices of one patient were on several sides of a split, and nothing said so."""
    for number in (1, 2, 3):
        image(tmp_path / "images" / f"{number}.png")
        mask(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "meta.csv").write_text("image_id,patient_id\n1.png,A\n2.png,A\n3.png,B\n")
    layout = find_layout(tmp_path)
    (note,) = layout.notes
    assert "Each of 3 images counts as a patient, and meta.csv names 2 in its column 'patient_id'" in note
    (tmp_path / "meta.csv").write_text("image_id,patient_id\n1.png,A\n2.png,B\n3.png,C\n")
    assert not find_layout(tmp_path).notes
    (tmp_path / "meta.csv").write_text("visit,patient_id\n7,A\n8,A\n9,B\n")
    assert not find_layout(tmp_path).notes


@pytest.mark.parametrize("column", ["site", "Center ID", "Standort", "hospital"])
def test_sites_that_count_their_patients_alike_have_different_ones(tmp_path: Path, column: str) -> None:
    """Four persons were two, and intervals were of two."""
    write(tmp_path, "1", "2", "3", "4")
    rows = [
        f"{site};{number};x{2 * place + number}.png;y{2 * place + number}.png"
        for place, site in enumerate("AB")
        for number in (1, 2)
    ]
    (tmp_path / "set.csv").write_text("\n".join([f"{column};patient;image;mask", *rows]))
    assert [one.patient for one in check(tmp_path).patients] == ["A/1", "A/2", "B/1", "B/2"]


def test_a_column_of_sites_leaves_patients_that_are_told_by_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, "1", "2")
    (tmp_path / "set.csv").write_text("site,patient,image,mask\nA,1,x1.png,y1.png\nB,2,x2.png,y2.png\n")
    assert [one.patient for one in check(tmp_path).patients] == ["1", "2"]
