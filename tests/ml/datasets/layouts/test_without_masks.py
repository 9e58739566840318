"""Images of a folder that have no masks, and masks that no image has."""

import pytest

from ml.datasets import DatasetError, check, find_layout, list_cases
from ml.evaluation.cases import choose_cases
from ml.prediction.sources import find_sources
from tests.support.layouts import image, pairs_beside
from tests.support.layouts import mask as draw_mask


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


@pytest.mark.parametrize(
    ("images", "masks", "remedy", "code"),
    [
        # Carvana; a GIF may hold several
        ("train/{}.png", "train_masks/{}_mask.gif", "Save each of its pictures as PNG", "left_out"),
        ("images/{}.png", "masks/{}.npy", "tifffile.imwrite", "left_out"),
        ("{}.png", "{}_seg.nii.gz", "A volume that is called as a picture", "expert_mask"),
    ],
)
def test_masks_of_a_kind_that_is_not_read_are_refused_and_their_images_predicted(tmp_path, images, masks, remedy, code):
    """Nobody hears that there are no masks, the portal neither, whose evaluations need none."""
    for stem in ("1", "2"):
        image(tmp_path / images.format(stem))
        mask = tmp_path / masks.format(stem)
        mask.parent.mkdir(exist_ok=True)
        mask.write_bytes(b"GIF89a")
    for refused in (find_layout, check):
        with pytest.raises(DatasetError, match=r"2 images .*, and 2 files that are masks by their names") as caught:
            refused(tmp_path)
        assert remedy in str(caught.value)
    sources, left_out = find_sources([tmp_path])
    assert [source.path.name for source in sources] == ["1.png", "2.png"]
    assert [(group.code, group.count) for group in left_out] == [(code, 2)]


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


def test_folders_of_images_and_masks_without_one_pair_are_told_how_both_are_called(tmp_path):
    for number in range(3):
        image(tmp_path / "images" / f"{number:03}.png")
        draw_mask(tmp_path / "masks" / f"{number}.png")
    with pytest.raises(
        DatasetError, match=r"3 images \(the first: images/000.png\) and 3 masks \(the first: masks/0.png\)"
    ):
        find_layout(tmp_path)
    assert len(find_sources([tmp_path])[0]) == 3


def test_a_folder_around_images_and_masks_that_is_called_as_masks_are_is_none(tmp_path):
    """A collection with numbered folders of sequences beside `seg`: its images are predicted, and `seg` is to be called
    `masks`, not the whole."""
    for patient in ("P1", "P2"):
        for folder in ("0", "3"):
            image(tmp_path / "brains_mask" / "train" / patient / folder / "000.png")
        (tmp_path / "brains_mask" / "train" / patient / "seg").mkdir()
        draw_mask(tmp_path / "brains_mask" / "train" / patient / "seg" / "000.png")
    sources, left_out = find_sources([tmp_path])
    assert [source.path.parent.name for source in sources] == ["0", "3", "0", "3"]
    [masks] = [group for group in left_out if group.code == "expert_mask"]
    assert {name.split("/")[-2] for name in masks.files} == {"seg"} and masks.count == 2
    with pytest.raises(DatasetError, match=r"Folders of masks lie there \(seg\): call them `masks`"):
        find_layout(tmp_path)
    for patient in ("P1", "P2"):  # as it says
        place = tmp_path / "brains_mask" / "train" / patient
        (place / "seg").rename(place / "masks")
        (place / "3").rename(place / "images")
    layout = find_layout(tmp_path)
    assert {case.image.parent.name for case in layout.cases} == {"images"} and layout.has_truth


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


@pytest.mark.parametrize("patient", ["", "Mets_005/"])
def test_folders_of_masks_that_are_not_read_as_such_are_named(tmp_path, patient):
    """BrainMetShare's patients: four sequences by number, and `seg`."""
    for name in ("0", "1", "2", "3", "seg"):
        image(tmp_path / f"Mets_001/{patient}{name}" / "000.png")
    with pytest.raises(
        DatasetError, match=r"not one mask.* Folders of masks lie there \(seg\): call them `masks`, and"
    ):
        check(tmp_path / "Mets_001")


def test_images_without_masks_are_those_of_all_folders_for_the_portal_and_for_predict(tmp_path):
    for place in ("1.png", "a/2.png", "a/b/c/d/e/f/3.png", "a/b/c/d/e/g/3.png"):
        image(tmp_path / place)
    layout = find_layout(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert sorted(source.path for source in sources) == sorted(case.image for case in layout.cases)
    assert len(layout.cases) == 4 and not left_out and not layout.left_out
    assert [case.patient for case in find_layout(tmp_path / "a" / "b").cases] == ["f", "g"]


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("masks_A", "masks_B"), "no mask is an image's"),
        (("masks_pred",), "no mask is an image's"),
        (("masks_r1", "masks_r2"), "no mask is an image's"),
        (("GT1", "GT2"), "folders GT1 and GT2 have pictures of the same names as images.*take one person's"),
        (("anna", "ben", "cleo"), "folders anna and ben and cleo have pictures .* call them `masks`"),
    ],
)
def test_folders_of_masks_by_several_readers_are_none_to_predict_on(tmp_path, folders, words):
    """Of three folders and more nobody looked which have masks: all were scans."""
    for stem in "1234567":
        image(tmp_path / "images" / f"{stem}.png")
        for folder in folders:
            draw_mask(tmp_path / folder / f"{stem}.png")
    with pytest.raises(DatasetError, match=words):
        check(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert {source.path.parent.name for source in sources} == {"images"}
    assert sum(group.count for group in left_out) == 7 * len(folders)


def test_sequences_of_the_same_names_are_no_masks_of_each_other(tmp_path):
    for folder in ("x", "y", "z"):
        for stem in "1234567":
            image(tmp_path / folder / f"{stem}.png")
    assert len(find_sources([tmp_path])[0]) == 21
