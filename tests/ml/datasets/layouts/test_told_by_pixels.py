"""Where names do not tell images from masks, the pixels of a few of them do."""

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.checking.check import check_layout
from ml.datasets.layouts.glances import masks_of_two
from ml.datasets.layouts.tree import Tree
from ml.evaluation.cases import choose_cases
from ml.prediction.sources import find_sources
from tests.support.layouts import SIDE, image, mask


@pytest.mark.parametrize("place", ["anna", "."])
@pytest.mark.parametrize(
    ("of_image", "of_mask"), [(".jpg", ".png"), (".png", ".tif"), (".tif", ".png"), (".JPG", ".PNG")]
)
def test_a_mask_may_be_called_as_its_image_with_another_ending(tmp_path, place, of_image, of_mask):
    for stem in ("1", "2", "3"):
        image(tmp_path / place / f"{stem}{of_image}")
        mask(tmp_path / place / f"{stem}{of_mask}")
    report = check(tmp_path)
    assert report.is_sound and report.analysis.tumor_slices == 3
    (finding,) = [one for one in report.warnings if one.code == "masks_by_pixels"]
    assert f"`1{of_image}` and `1{of_mask}`" in finding.message
    choice = choose_cases(tmp_path, None)
    assert finding.message in choice.notes and all(case.truth().sum() == 144 for case in choice.cases)
    sources, left_out = find_sources([tmp_path])
    assert {source.path.suffix for source in sources} == {of_image} and left_out[0].count == 3


def test_two_images_of_one_name_are_no_image_and_mask(tmp_path):
    for stem in ("1", "2"):
        image(tmp_path / "anna" / f"{stem}.jpg")
        image(tmp_path / "anna" / f"{stem}.png")
    layout = find_layout(tmp_path)
    assert len(layout.cases) == 4 and not layout.has_truth
    with pytest.raises(DatasetError, match=r"not one mask"):
        check(tmp_path)


def test_a_mask_by_its_name_is_taken_before_one_by_its_pixels(tmp_path):
    image(tmp_path / "anna" / "1.jpg")
    mask(tmp_path / "anna" / "1.png")
    mask(tmp_path / "anna" / "1_mask.png")
    (case, other) = find_layout(tmp_path).cases
    assert case.fault.code == other.fault.code == "doubled_image"


@pytest.mark.parametrize(("images", "masks"), [("X", "Y"), ("y", "x"), ("A/train", "B/train"), ("data/B", "data/A")])
def test_of_two_folders_predict_takes_the_images_and_check_says_which_they_are(tmp_path, images, masks):
    for stem in ("1", "2", "3"):
        image(tmp_path / images / f"{stem}.png")
        mask(tmp_path / masks / f"{stem}.png")
    sources, left_out = find_sources([tmp_path])
    assert [source.path.parent for source in sources] == [tmp_path / images] * 3
    (group,) = left_out
    assert group.code == "expert_mask" and group.count == 3 and "by their pixels" in group.message
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    first, second = (path.removesuffix("/train") for path in (images, masks))
    assert f"those of {second} have a few values alone, as masks have: call {first} `images`" in str(refused.value)


@pytest.mark.parametrize(
    "place", ["{side}/{kind}/{stem}.png", "data/{side}/{kind}/{stem}.png", "{side}/{kind}/ben/{stem}.png"]
)
def test_two_folders_may_lie_in_each_of_several(tmp_path, place):
    """`train/X` and `val/X` beside `train/Y` and `val/Y`; so may each patient have two."""
    for side, stems in (("train", "123"), ("val", "45")):
        for stem in stems:
            image(tmp_path / place.format(side=side, kind="X", stem=stem))
            mask(tmp_path / place.format(side=side, kind="Y", stem=stem))
    sources, left_out = find_sources([tmp_path])
    assert len(sources) == 5 and all("/X/" in source.path.as_posix() for source in sources)
    assert [(group.code, group.count) for group in left_out] == [("expert_mask", 5)]
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    assert "call each X `images` and each Y `masks`." in str(refused.value)


def test_folders_that_are_called_as_they_should_be_are_not_called_so_again(tmp_path):
    for stem in ("1", "2"):
        image(tmp_path / "images" / "train" / f"{stem}.png")
        mask(tmp_path / "annotations" / "train" / f"{stem}.png")
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    assert "call annotations `masks`." in str(refused.value)


def test_images_and_masks_at_different_places_of_their_folders_are_told_where_to_lie(tmp_path):
    for side, stem in (("train", "1"), ("val", "2")):
        image(tmp_path / "images" / side / "images" / f"{stem}.png")
        mask(tmp_path / "masks" / side / "masks" / f"{stem}.png")
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    assert "lay each mask at the place of its image (`images/train/1.png`, `masks/train/1.png`)." in str(refused.value)


def test_patients_whose_slices_have_the_same_names_are_not_taken_for_images_and_masks(tmp_path):
    for patient in ("anna", "ben"):
        for stem in ("1", "2"):
            image(tmp_path / patient / f"{stem}.png")
    assert len(find_sources([tmp_path])[0]) == 4
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    assert "of the same names" not in str(refused.value)


def with_alpha(path, channels):
    """Image and truth in one file."""
    image(path)
    pixels = np.array(Image.open(path).convert("RGB" if channels == 4 else "L"))
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[8:20, 8:20] = 255
    Image.fromarray(np.dstack([pixels, alpha])).save(path)


@pytest.mark.parametrize("channels", [2, 4])
def test_a_truth_in_the_alpha_channel_is_named_by_what_was_seen(tmp_path, channels):
    for stem in ("1", "2"):
        with_alpha(tmp_path / "anna" / f"{stem}.png", channels)
    said = []
    for refuse in (check, lambda folder: choose_cases(folder, None)):
        with pytest.raises(DatasetError, match="2 of 2 images that were looked at have an alpha channel") as refused:
            refuse(tmp_path)
        said.append(str(refused.value))
    assert said[0] == said[1] and 'getchannel("A").save("1_mask.png")' in said[0]
    warnings = check_layout(find_layout(tmp_path)).report.warnings  # as the portal does, which needs no masks
    assert [one.code for one in warnings] == ["transparent_images"]


def test_a_file_that_leads_out_is_not_looked_at(tmp_path):
    image(tmp_path / "1.jpg")
    mask(tmp_path / "1.png")
    pair = [tmp_path / "1.jpg"], [tmp_path / "1.png"]
    assert masks_of_two(Tree(), *pair) == 1
    assert masks_of_two(Tree(lambda path: False), *pair) is None


def test_cityscapes_are_named_with_what_to_call_them_and_never_predicted_on(tmp_path):
    for stem in ("a_000001_000019", "a_000002_000019"):
        image(tmp_path / "leftImg8bit" / "train" / "a" / f"{stem}_leftImg8bit.png")
        for kind in ("labelIds", "color", "instanceIds"):
            mask(tmp_path / "gtFine" / "train" / "a" / f"{stem}_gtFine_{kind}.png")
    with pytest.raises(DatasetError, match=r"as Cityscapes' are: .*`masks/a_000001_000019\.png`"):
        check(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert len(sources) == 2 and all("leftImg8bit" in source.name for source in sources)
    assert [group.count for group in left_out] == [6]
