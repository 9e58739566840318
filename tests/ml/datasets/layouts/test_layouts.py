"""Which slices, masks and patients are found in a folder."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.evaluation.cases import choose_cases
from ml.prediction.sources import find_sources
from tests.support.layouts import coco, image, loose_pair, pairs_beside
from tests.support.layouts import mask as draw_mask
from tests.support.volume_sets import write_brats


def test_a_patient_folder_is_a_patient(patient_folders):
    cases = list_cases(patient_folders)
    assert [case.name for case in cases][:3] == ["anna_0", "anna_1", "anna_2"]
    assert sorted({case.patient for case in cases}) == ["anna", "ben", "cleo"]
    assert cases[0].pixels().shape == (32, 32, 3) and cases[0].pixels().dtype == np.uint8
    assert cases[0].truth().dtype == bool and cases[0].truth().sum() == 100


def test_only_the_patients_asked_for(patient_folders):
    assert {case.patient for case in list_cases(patient_folders, ["ben", "nobody"])} == {"ben"}
    with pytest.raises(DatasetError, match="nobody"):
        list_cases(patient_folders, ["nobody"])


def test_images_and_masks_take_the_patient_from_a_barcode_else_each_is_its_own_group(image_and_mask_folders):
    cases = list_cases(image_and_mask_folders)
    assert find_layout(image_and_mask_folders).name == "images and masks"
    assert [case.patient for case in cases] == ["TCGA_DU_6404_19850629"] * 2 + ["x1", "x2"]
    assert all(case.truth().sum() == 50 for case in cases)


def test_coco_polygons_become_masks_and_an_image_without_one_has_an_empty_mask(coco_folder):
    with_tumor, without = list_cases(coco_folder)
    assert (with_tumor.patient, without.patient) == ("train/a", "train/b")
    assert with_tumor.truth()[4:14, 4:14].all() and with_tumor.truth().sum() == 100
    assert not without.truth().any() and without.has_truth


def test_the_folder_with_the_annotations_itself_is_a_data_set(coco_folder):
    assert [case.patient for case in list_cases(coco_folder / "train")] == ["a", "b"]


def test_equal_names_in_train_and_valid_are_different_groups(coco_folder):
    shutil.copytree(coco_folder / "train", coco_folder / "valid")
    assert len({case.patient for case in list_cases(coco_folder)}) == 4


def test_images_without_masks_are_listed_only_when_no_truth_is_needed(patient_folders):
    for mask in patient_folders.rglob("*_mask.tif"):
        mask.unlink()
    cases = list_cases(patient_folders, is_truth_needed=False)
    assert len(cases) == 12 and all(case.truth() is None and not case.has_truth for case in cases)
    with pytest.raises(DatasetError, match=r"Found: 4 \.tif in anna"):
        list_cases(patient_folders)


def test_a_flat_folder_of_images_is_listed_for_prediction(patient_folders):
    cases = list_cases(patient_folders / "anna", is_truth_needed=False)
    assert [case.name for case in cases] == ["anna_0", "anna_1", "anna_2", "anna_3"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_other_image_formats_with_png_masks(tmp_path, suffix):
    (tmp_path / "p").mkdir()
    Image.new("RGB", (32, 32), "grey").save(tmp_path / "p" / f"s.{suffix}")
    Image.new("1", (32, 32), 1).save(tmp_path / "p" / "s_mask.png")
    (case,) = list_cases(tmp_path)
    assert case.pixels().shape == (32, 32, 3) and case.truth().all()


def test_a_small_tumor_of_a_16_bit_mask_is_not_lost(patient_folders):
    mask = patient_folders / "anna" / "anna_0_mask.tif"
    values = np.zeros((32, 32), dtype=np.uint16)
    values[5, 5] = 1
    Image.fromarray(values).save(mask)
    assert list_cases(patient_folders)[0].truth().sum() == 1


def test_hidden_files_do_not_count(patient_folders):
    (patient_folders / "anna" / "._anna_0.tif").write_bytes(b"resource fork")
    assert len(list_cases(patient_folders)) == 12


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_no_folder_and_an_empty_one_are_said(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=name):
        list_cases(tmp_path / name)


def test_a_damaged_image_is_named(patient_folders):
    (patient_folders / "anna" / "anna_0.tif").write_bytes(b"II*\0" + bytes(50))
    with pytest.raises(DatasetError, match=r"anna/anna_0\.tif cannot be read"):
        list_cases(patient_folders)[0].pixels()


def test_accents_are_the_same_however_they_are_composed(tmp_path):
    image(tmp_path / "p" / "Mu\u0308ller.png")
    draw_mask(tmp_path / "p" / "M\u00fcller_mask.png")
    (case,) = list_cases(tmp_path)
    assert case.truth().any()


def test_names_that_differ_in_case_alone_keep_their_own_masks(tmp_path):
    for stem in ("a", "A"):
        image(tmp_path / "p" / f"{stem}.png")
    draw_mask(tmp_path / "p" / "A_mask.png")
    layout = find_layout(tmp_path)
    assert [(case.name, case.has_truth) for case in layout.cases] == [("A", True), ("a", False)]


def test_two_different_data_sets_are_refused_by_name(tmp_path):
    for name in ("first", "second"):
        image(tmp_path / name / "p" / f"{name}.png")
        draw_mask(tmp_path / name / "p" / f"{name}_mask.png")
    with pytest.raises(DatasetError, match=r"It holds 2 data sets \(first, second\); give the folder of one"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            ["train/images/a.jpg", "train/labels/a.txt"],
            ["1 .jpg in train/images, 1 .txt in train/labels", "images and"],
        ),
        (["p/a.nii.gz", "p/b.nii.gz"], ["2 .nii.gz in p", "The layouts of volumes are BraTS"]),
        (["p/a.mha", "p/b.seg.nrrd"], ["1 .mha in p, 1 .nrrd in p", "None of these is read", "or volumes as NIfTI"]),
        (["a.png", "result.json"], ["1 .json, 1 .png", "The nearest layout is COCO"]),
        (["p/a_mask.png"], ["1 .png in p", "put each mask beside its image"]),
        (["notes", "b.txt"], ["1 file without an ending, 1 .txt", "The layouts are patient folders"]),
    ],
)
def test_of_an_unknown_layout_it_is_said_what_was_found_and_which_is_nearest(tmp_path, files, said):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match="no data set in a layout that is known") as caught:
        list_cases(tmp_path)
    assert all(words in str(caught.value) for words in said), str(caught.value)


def test_a_loose_pair_beside_the_patients_is_no_data_set_of_its_own(tmp_path):
    """Given the folder itself or one around it, as a browser's choice of a folder is."""
    loose_pair(tmp_path / "around")
    inner = find_layout(tmp_path / "around" / "set")
    assert [case.patient for case in inner.cases] == ["example", "anna", "anna", "ben", "ben"]
    for around in (tmp_path / "around", tmp_path):
        assert find_layout(around).cases == inner.cases and find_layout(around).folder == inner.folder


@pytest.mark.parametrize("kind", ["patient folders", "COCO"])
def test_a_loose_pair_beside_a_data_set_is_named_and_neither_is_taken(tmp_path, kind):
    pairs_beside(tmp_path, "example")
    for name in ("1", "2", "3"):
        if kind == "COCO":
            image(tmp_path / "set" / f"{name}.png")
        else:
            pairs_beside(tmp_path / "set" / name, "1", "2")
    if kind == "COCO":
        coco(tmp_path / "set" / "_annotations.coco.json", ["1.png", "2.png", "3.png"])
    with pytest.raises(DatasetError, match=r"It holds 2 data sets \(directly in it, set\); give the folder of one"):
        find_layout(tmp_path)


def test_pairs_in_a_folder_of_a_patient_are_left_out_by_name(tmp_path):
    pairs_beside(tmp_path / "anna", "1", "2")
    pairs_beside(tmp_path / "anna" / "old", "1", "2")
    layout = find_layout(tmp_path)
    assert len(layout.cases) == 2 and [group.count for group in layout.left_out] == [4]


@pytest.mark.parametrize(
    "ending", ["_seg", "_gt", "_label", "_Segmentation", "-mask", ".mask", " mask", "Mask", "_masks", "_mask_1"]
)
def test_masks_of_another_ending_are_refused_by_it_and_are_no_scans(tmp_path, ending):
    for stem in ("1", "2"):
        image(tmp_path / "anna" / f"{stem}.png")
        draw_mask(tmp_path / "anna" / f"{stem}{ending}.png")
    for refused in (find_layout, check):
        with pytest.raises(DatasetError, match=r"2 images .* 2 masks .* no mask is an image's") as caught:
            refused(tmp_path)
        assert f"(`{ending}`), which is not read" in str(caught.value)
    sources, left_out = find_sources([tmp_path])
    assert [source.path.name for source in sources] == ["1.png", "2.png"]
    assert [(group.code, group.count) for group in left_out] == [("expert_mask", 2)]


def test_masks_that_are_given_by_themselves_are_no_scans(tmp_path):
    for folder in ("scans", "Masks"):
        image(tmp_path / folder / "1.png")
    draw_mask(tmp_path / "scans" / "1_seg.png")
    sources, left_out = find_sources(sorted((tmp_path / "scans").iterdir()))
    assert [source.name for source in sources] == ["1"]
    assert "1_seg.png: Masks by their names" in left_out[0].sentence
    for given in (tmp_path / "scans" / "1_seg.png", tmp_path / "Masks"):
        with pytest.raises(DatasetError, match=r"no images to predict on; what was left out: .*1(_seg)?\.png"):
            find_sources([given])


def test_a_file_of_a_masks_name_is_an_image_where_it_has_a_mask(tmp_path):
    pairs_beside(tmp_path / "anna", "label_1", "label_2")
    assert all(case.has_truth and case.fault is None for case in find_layout(tmp_path).cases)
    for name in ("a_seg", "b"):
        image(tmp_path / "set" / "images" / f"{name}.png")
    draw_mask(tmp_path / "set" / "masks" / "a_seg.png")
    draw_mask(tmp_path / "set" / "masks" / "b_Segmentation.png")  # as ISIC's
    layout = find_layout(tmp_path / "set")
    assert [case.mask.name for case in layout.cases] == ["a_seg.png", "b_Segmentation.png"] and not layout.problems


@pytest.mark.parametrize(
    "masks",
    [
        ("masks/0.png", "masks/0_mask.png"),
        ("masks/0_mask.png", "masks/0_seg.png"),
        ("masks/0_mask_1.png", "masks/0_mask_2.png"),
        ("masks/0.png", "images/0_mask.png"),
        ("masks/0.png", "Labels/0_gt.png"),
    ],
)
def test_two_masks_of_one_image_fail_it_in_any_layout(tmp_path, masks):
    image(tmp_path / "images" / "0.png")
    for name in masks:
        draw_mask(tmp_path / name)
    [case] = find_layout(tmp_path).cases
    assert case.fault.code == "doubled_mask" and set(masks) == set(case.fault.files)
    with pytest.raises(DatasetError, match="are masks of one image"):
        case.truth()


def test_patients_that_differ_in_case_alone_fail_whatever_side_they_are_on(tmp_path):
    for place in ("train/P1", "test/p1", "test/P2"):
        pairs_beside(tmp_path / place, "1")
    layout = find_layout(tmp_path)
    faults = {case.patient: case.fault and case.fault.message for case in layout.cases}
    assert faults["P2"] is None and faults["P1"] == faults["p1"]
    assert faults["P1"].startswith("The names of patients P1 and p1 differ in case alone")


def test_patients_whose_accents_are_written_in_two_ways_are_told_so(tmp_path):
    for name in ("M\u00fcller", "Mu\u0308ller"):
        pairs_beside(tmp_path / name, "1")
    faults = {case.fault.message for case in find_layout(tmp_path).cases}
    assert len(faults) == 1 and "M\u00fcller and M\u00fcller differ in how their accents are written" in faults.pop()


def test_folders_of_images_and_masks_without_one_pair_are_told_how_both_are_called(tmp_path):
    for number in range(3):
        image(tmp_path / "images" / f"{number:03}.png")
        draw_mask(tmp_path / "masks" / f"{number}.png")
    with pytest.raises(
        DatasetError, match=r"3 images \(the first: images/000.png\) and 3 masks \(the first: masks/0.png\)"
    ):
        find_layout(tmp_path)
    assert len(find_sources([tmp_path])[0]) == 3


def test_deeper_folders_of_images_and_masks_are_no_data_sets_of_their_own(tmp_path):
    for name in ("Images", "Masks"):
        image(tmp_path / name / "P1" / "T1" / "1.png")
    with pytest.raises(DatasetError, match=r"Found: 1 \.png in Images/P1/T1, .* or in one folder for each patient"):
        find_layout(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    pairs_beside(tmp_path / "anna", "1")
    pairs_beside(tmp_path / "anna" / "closed", "1")

    def refuse(path):
        if path.name == "closed":
            raise PermissionError(path)
        return True

    [group] = find_layout(tmp_path, refuse).left_out
    assert group.sentence == "anna/closed: The folder cannot be read: change its permissions."


def test_a_linked_folder_of_a_patient_is_one(tmp_path):
    pairs_beside(tmp_path / "elsewhere", "1")
    pairs_beside(tmp_path / "set" / "anna", "1")
    (tmp_path / "set" / "ben").symlink_to("../elsewhere")
    layout = find_layout(tmp_path / "set")
    assert [case.patient for case in layout.cases] == ["anna", "ben"] and not layout.problems


def test_links_to_nothing_are_said_where_nothing_else_is_there(tmp_path):
    (tmp_path / "a.png").symlink_to(".git/annex/objects/a.png")
    with pytest.raises(DatasetError, match="Found: 1 link to nothing"):
        find_layout(tmp_path)


def test_the_digest_of_a_wrapped_data_set_is_its_own(tmp_path, patient_folders):
    (tmp_path / "a" / "b").mkdir(parents=True)
    patient_folders.rename(tmp_path / "a" / "b" / "set")
    inner = check(tmp_path / "a" / "b" / "set")
    assert inner.is_sound and check(tmp_path / "a").data_sha256 == inner.data_sha256


def test_folders_of_one_patient_in_subsets_are_patients(tmp_path):
    for side, patient in (("train", "anna"), ("test", "ben")):
        image(tmp_path / side / patient / "1.png")
        draw_mask(tmp_path / side / patient / "1_mask.png")
    layout = find_layout(tmp_path)
    assert [case.patient for case in layout.cases] == ["ben", "anna"]
    assert layout.sides == {"train": ("anna",), "validation": (), "test": ("ben",)}


def test_folders_of_one_name_in_images_and_masks_are_a_patient_or_a_side(tmp_path):
    for place in ("anna/1", "val/x", "train/TCGA_DU_6404_19850629_3"):
        image(tmp_path / "images" / f"{place}.png")
        draw_mask(tmp_path / "labels" / f"{place}.png")
    layout = find_layout(tmp_path)
    assert layout.name == "images and masks" and all(case.has_truth for case in layout.cases)
    assert [case.patient for case in layout.cases] == ["TCGA_DU_6404_19850629", "anna", "val/x"]
    shutil.rmtree(tmp_path / "images" / "anna")
    assert find_layout(tmp_path).sides == {"train": ("TCGA_DU_6404_19850629",), "validation": ("val/x",), "test": ()}


@pytest.mark.parametrize("name", ["annotations.json", "a.json", "labels/a.txt"])
def test_annotations_that_are_not_read_are_named_where_masks_are_needed(tmp_path, name):
    """By check and evaluate in the same words."""
    image(tmp_path / "a.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    said = []
    for refuse in (check, lambda folder: choose_cases(folder, None)):
        with pytest.raises(DatasetError, match=f"1 image and not one mask, .* {name}: Annotations of a name") as caught:
            refuse(tmp_path)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_images_without_any_mask_are_told_what_was_found(tmp_path):
    image(tmp_path / "p" / "a.png")
    with pytest.raises(DatasetError, match=r"has 1 image and not one mask, .* Found: 1 \.png in p\. The layouts are"):
        check(tmp_path)


def test_names_are_relative_to_what_was_given_and_not_to_the_folder_that_was_found(tmp_path):
    pairs_beside(tmp_path / "download" / "set" / "anna", "1", "2")
    draw_mask(tmp_path / "download" / "set" / "anna" / "lonely_mask.png")
    image(tmp_path / "preview.png")
    (tmp_path / "download" / "set" / "anna" / "2.png").write_bytes(b"damaged")
    report = check(tmp_path)
    names = {problem.code: problem.files for problem in (*report.problems, *report.warnings)}
    assert names == {
        "mask_without_image": ("download/set/anna/lonely_mask.png",),
        "unreadable_image": ("download/set/anna/2.png",),
        "left_out": ("preview.png",),
    }
    assert {name for group in report.left_out for name in group.files} == {*names["mask_without_image"], "preview.png"}


@pytest.mark.parametrize("inner", ["set", "anna/anna", "copy/of/set"])
def test_a_folder_that_lies_in_itself_again_is_named_as_that(tmp_path, inner):
    pairs_beside(tmp_path / "set" / "anna", "1", "2")
    pairs_beside(tmp_path / "set" / "ben", "1")
    original = tmp_path / "set" / ("anna" if inner == "anna/anna" else ".")
    copy = tmp_path / "copy" if inner == "anna/anna" else tmp_path / "elsewhere"
    shutil.copytree(original, copy)
    shutil.copytree(copy, tmp_path / "set" / inner)
    report = check(tmp_path / "set")
    (group,) = report.left_out
    assert report.is_sound and report.analysis.slices == 3
    assert (group.code, group.count) == ("doubled_folder", 4 if inner == "anna/anna" else 6)


@pytest.mark.parametrize("copy", ["ben (copy)", "ben - Copy", "ben_copy 2", "Ben (1)"])
def test_a_copy_of_a_folder_beside_it_is_left_out_by_name(tmp_path, copy):
    places = {"patient folders": ("", ""), "images and masks": ("images", "masks")}
    for layout, (images, masks) in places.items():
        root = tmp_path / layout
        for patient in ("anna", "ben"):
            image(root / images / patient / "1.png")
            draw_mask(root / masks / patient / "1_mask.png")
        shutil.copytree(root / images / "ben", root / images / copy)
        report = check(root)
        assert report.layout == layout and report.problems == () and report.analysis.patients == 2
        (doubled,) = [group for group in report.left_out if group.code == "doubled_folder"]
        assert "A copy of the folder ben" in doubled.message
        image(root / images / copy / "1.png")  # another slice: now it is a patient
        assert any(case.patient == copy for case in find_layout(root).cases)


def test_copies_of_a_patients_volumes_are_left_out(tmp_path):
    write_brats(tmp_path, "P1")
    shutil.copytree(tmp_path / "P1", tmp_path / "P1 - Copy")
    report = check(tmp_path)
    assert (report.layout, report.problems, report.analysis.patients) == ("BraTS", (), 1)
    assert [group.count for group in report.left_out] == [2]


@pytest.mark.parametrize("side", ["", "train/"])
def test_patients_with_folders_of_images_and_masks_are_patients_and_it_is_said(tmp_path, side):
    for patient in ("anna", "ben"):
        for number in range(2):
            image(tmp_path / side / patient / "images" / f"{number}.tif")  # as long as the other's
            draw_mask(tmp_path / side / patient / "masks" / f"{number}.tif")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"anna", "ben"} and layout.has_truth
    assert [problem.code for problem in layout.problems] == ["nested_patients"]
    assert any("2 folders with images and masks" in note for note in layout.notes)
    assert all(case.pixels().shape for case in layout.cases)
    image(tmp_path / side / "ben" / "images" / "cleo" / "1.tif")
    draw_mask(tmp_path / side / "ben" / "masks" / "cleo" / "1.tif")
    with pytest.raises(DatasetError, match="It holds 2 data sets"):
        find_layout(tmp_path)


def test_of_a_patients_folders_of_sequences_the_one_of_flair_is_taken(tmp_path):
    for patient in ("anna", "ben"):
        for sequence in ("T1", "t2_flair", "t1ce"):
            pairs_beside(tmp_path / patient / sequence, "1", "2")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"anna", "ben"} and len(layout.cases) == 4
    assert all(case.image.parent.name == "t2_flair" and case.has_truth for case in layout.cases)
    (group,) = layout.left_out
    assert group.count == 16 and "another sequence than FLAIR" in group.message
    (one,) = {case.patient for case in find_layout(tmp_path / "anna").cases}
    assert one == "anna"


def test_patients_without_flair_are_no_several_data_sets(tmp_path):
    for patient in ("anna", "ben"):
        for sequence in ("t1", "t2"):
            pairs_beside(tmp_path / patient / sequence, "1")
    with pytest.raises(DatasetError, match=r"a folder for each sequence \(t1, t2\), and none is FLAIR's"):
        find_layout(tmp_path)


def test_files_without_an_ending_are_counted_and_named(tmp_path):
    pairs_beside(tmp_path / "anna", "1")
    for name in ("IM0001", "IM0002", "README"):
        (tmp_path / "anna" / name).write_bytes(b"anything")
    (group,) = find_layout(tmp_path).left_out
    assert group.files == ("anna/IM0001", "anna/IM0002") and "no ending" in group.message


def test_images_without_masks_are_those_of_all_folders_for_the_portal_and_for_predict(tmp_path):
    for place in ("1.png", "a/2.png", "a/b/c/d/e/f/3.png", "a/b/c/d/e/g/3.png"):
        image(tmp_path / place)
    layout = find_layout(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert sorted(source.path for source in sources) == sorted(case.image for case in layout.cases)
    assert len(layout.cases) == 4 and not left_out and not layout.left_out
    assert [case.patient for case in find_layout(tmp_path / "a" / "b").cases] == ["f", "g"]
