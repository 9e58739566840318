"""What `check` finds, and that no file stops it."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, list_cases
from ml.datasets.checking import file_checks
from tests.ml.datasets.conftest import draw_mask, draw_slice


def codes(report):
    return [(problem.code, problem.files) for problem in report.problems]


def test_a_sound_data_set_is_counted(patient_folders):
    report = check(patient_folders)
    assert report.is_sound and report.layout == "patient folders"
    analysis = report.analysis
    assert (analysis.patients, analysis.slices, analysis.tumor_slices, analysis.empty_masks) == (3, 12, 6, 6)
    assert analysis.tumor_slice_share == 0.5
    assert analysis.tumor_pixel_share == pytest.approx(600 / (12 * 1024), abs=1e-6)
    assert analysis.sizes == {"small": 0, "medium": 0, "large": 6}
    assert {area.pixels for area in analysis.areas} == {100.0}
    assert analysis.image_sizes == {"32 x 32": 12}
    json.dumps(report.to_json())


@pytest.mark.parametrize("fixture", ["image_and_mask_folders", "coco_folder"])
def test_the_other_layouts_are_sound(request, fixture):
    assert check(request.getfixturevalue(fixture)).is_sound


def test_missing_doubled_and_lonely_masks(patient_folders):
    anna = patient_folders / "anna"
    (anna / "anna_0_mask.tif").unlink()
    draw_mask(3).save(anna / "anna_1_mask.png")
    draw_mask(3).save(anna / "other_mask.tif")
    draw_slice(np.random.default_rng(9)).save(anna / "anna_2.png")
    assert codes(check(patient_folders)) == [
        ("missing_mask", ("anna/anna_0.tif",)),
        ("doubled_mask", ("anna/anna_1_mask.tif", "anna/anna_1_mask.png")),
        ("doubled_image", ("anna/anna_2.tif", "anna/anna_2.png")),
        ("mask_without_image", ("anna/other_mask.tif",)),
    ]


def test_sizes_and_values_of_masks(patient_folders):
    ben = patient_folders / "ben"
    draw_mask(5, side=40).save(ben / "ben_0_mask.tif")
    Image.fromarray(np.arange(1024, dtype=np.uint32).reshape(32, 32).astype(np.uint8)).save(ben / "ben_1_mask.tif")
    Image.fromarray(np.eye(32) > 0).save(ben / "ben_2_mask.tif")  # 1 bit is binary
    report = check(patient_folders)
    assert codes(report) == [
        ("unequal_size", ("ben/ben_0.tif", "ben/ben_0_mask.tif")),
        ("non_binary_mask", ("ben/ben_1_mask.tif",)),
    ]
    assert "32 x 32" in report.problems[0].message and "40 x 40" in report.problems[0].message
    assert report.data_sha256 is None and report.analysis.slices == 10


def png_of(width, height):
    """A PNG whose header promises more than it holds."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + bytes(40)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"no image at all" * 9,
        png_of(50_000, 50_000),
        png_of(32, 32),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(99),
    ],
    ids=["empty", "three bytes", "text", "bomb", "cut", "tiff of zeros"],
)
def test_unreadable_files_are_listed_and_the_others_still_read(patient_folders, content):
    (patient_folders / "anna" / "anna_3.tif").write_bytes(content)
    (patient_folders / "cleo" / "cleo_0_mask.tif").write_bytes(content)
    report = check(patient_folders)
    assert codes(report) == [
        ("unreadable_image", ("anna/anna_3.tif",)),
        ("unreadable_mask", ("cleo/cleo_0_mask.tif",)),
    ]
    assert report.analysis.slices == 10


@pytest.mark.parametrize(
    "content", ["version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "/annex/objects/MD5E-s9--0.tif\n"]
)
def test_what_stands_for_a_file_that_was_not_fetched_is_told_so(patient_folders, content):
    for name in ("anna_3.tif", "anna_2_mask.tif"):
        (patient_folders / "anna" / name).write_text(content)
    problems = check(patient_folders).problems
    assert [problem.code for problem in problems] == ["unreadable_mask", "unreadable_image"]
    assert all("stands for one that was not fetched" in problem.message for problem in problems)


def test_a_file_that_kills_or_hangs_its_reader_is_named(patient_folders, monkeypatch):
    monkeypatch.setattr(file_checks, "ENTRY", "tests.ml.datasets.checking.hostile_entry")
    monkeypatch.setattr(file_checks, "TIMEOUT_S", 0.5)
    report = check(patient_folders)
    fatal = ("ben/ben_1.tif", "ben/ben_2.tif", "cleo/cleo_1.tif")
    assert codes(report) == [("unreadable_image", (name,)) for name in fatal]
    assert "damaged" in report.problems[0].message and "limit of" in report.problems[1].message
    assert "more memory than there is" in report.problems[2].message
    assert report.analysis.slices == 9


def test_what_is_checked_soon_after_has_the_same_server(patient_folders):
    cases = list_cases(patient_folders)
    checker = file_checks.FileChecker()
    try:
        first = list(checker.check(cases))
        pid = checker.server_pid
        assert pid is not None
        assert list(checker.check(cases)) == first and checker.server_pid == pid
    finally:
        checker.close()
    assert checker.server_pid is None and list(file_checks.check_files(cases)) == first


def test_a_check_that_is_given_up_ends_its_children_and_the_next_one_has_others(patient_folders, monkeypatch):
    cases = list_cases(patient_folders)
    monkeypatch.setattr(file_checks, "ENTRY", "tests.ml.datasets.checking.hostile_entry")  # hangs at one of ben's
    checker = file_checks.FileChecker()
    try:
        checks = checker.check(cases)
        next(checks)
        given_up = checker.server_pid
        checks.close()
        assert given_up is not None and checker.server_pid is None
        checks = checker.check(cases)
        assert next(checks).image_error is None and checker.server_pid not in (None, given_up)
        checks.close()
    finally:
        checker.close()


def test_equal_images_of_two_patients_are_reported_whatever_their_format(patient_folders):
    Image.open(patient_folders / "anna" / "anna_0.tif").save(patient_folders / "cleo" / "cleo_9.png")
    draw_mask(0).save(patient_folders / "cleo" / "cleo_9_mask.png")
    assert codes(check(patient_folders)) == [("duplicate_image", ("anna/anna_0.tif", "cleo/cleo_9.png"))]


def test_black_slices_and_equal_slices_of_one_patient_are_no_duplicates(patient_folders):
    for patient in ("anna", "ben"):
        Image.new("RGB", (32, 32)).save(patient_folders / patient / f"{patient}_0.tif")
    Image.open(patient_folders / "cleo" / "cleo_0.tif").save(patient_folders / "cleo" / "cleo_1.tif")
    assert check(patient_folders).is_sound


def test_faults_of_coco(coco_folder, annotations):
    def edit(document):
        document["images"] += [
            {"id": 7, "file_name": "absent.jpg", "height": 32, "width": 32},
            {"id": 8, "file_name": "../../elsewhere.jpg", "height": 32, "width": 32},
        ]
        square = [0, 0, 9, 0, 9, 9]
        document["annotations"] += [
            {"id": 1, "image_id": 99, "segmentation": [square]},
            {"id": 2, "image_id": 1, "segmentation": [[0, 0, 9]]},
            {"id": 3, "image_id": 1, "segmentation": {"counts": "abc", "size": [32, 32]}},
            {"id": 4, "image_id": 1, "segmentation": [[0, 0, 900, 0, 9, 9]]},
            {"id": 5, "image_id": 1, "segmentation": [[0, 0, float("nan"), 0, 9, 9]]},
        ]
        document["images"][1]["height"] = 48

    annotations(edit)
    draw_slice(np.random.default_rng(8)).save(coco_folder / "train" / "unlisted.jpg")
    found = codes(check(coco_folder))
    assert [code for code, _ in found].count("bad_annotation") == 6
    assert ("missing_image", ("train/absent.jpg",)) in found
    assert ("missing_mask", ("train/unlisted.jpg",)) in found
    assert ("unequal_size", ("train/b.jpg",)) in found


@pytest.mark.parametrize("text", ["", "[]", '{"images": 1}', '{"images": [], "annotations": [3]}', "[" * 100_000])
def test_a_coco_file_that_is_none_is_said(coco_folder, text):
    (coco_folder / "train" / "_annotations.coco.json").write_text(text)
    with pytest.raises(DatasetError, match="export it again"):
        check(coco_folder)


def test_a_folder_without_any_mask_is_one_sentence(patient_folders):
    for mask in patient_folders.rglob("*_mask.tif"):
        mask.unlink()
    with pytest.raises(DatasetError, match="12 images and not one mask"):
        check(patient_folders)
