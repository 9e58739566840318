"""Masks that have a mask's word in the place of their image's: sequences of slices, LabelMe's, BraTS' as pictures."""

import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.prediction.sources import find_sources
from tests.support.layouts import image
from tests.support.layouts import mask as draw_mask


def pairs_of(folder):
    return {
        (case.image.relative_to(folder).as_posix(), case.mask.relative_to(folder).as_posix())
        for case in find_layout(folder).cases
        if case.has_truth
    }


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("anna/flair000{}.tif", "anna/mask000{}.tif"),  # ImageJ's image sequences
        ("anna/P1000{}.tif", "anna/P1_mask000{}.tif"),  # of the stacks P1 and P1_mask
        ("anna/P1_flair_{}.png", "anna/P1_seg_{}.png"),
        ("anna/{}_flair.png", "anna/{}_seg.png"),
        ("anna/img_{}.png", "anna/label_{}.png"),
        ("anna/scan-{}.png", "anna/mask-{}.png"),
        ("anna/image_P1_z{}.png", "anna/label_P1_z{}.png"),
        ("anna/img_P1_z{}.png", "anna/seg_P1_z{}.png"),
        ("anna/{}_image.png", "anna/{}_mask.png"),
        ("anna/P1_T2_FLAIR_{}.png", "anna/P1_seg_{}.png"),
        ("images/image_{}.png", "masks/mask_{}.png"),
        ("images/img{}.png", "masks/{}.png"),
        ("images/P1_flair_{}.png", "masks/P1_seg_{}.png"),
        ("{}_json/img.png", "{}_json/label.png"),  # LabelMe's
        ("anna/flair ({}).png", "anna/mask ({}).png"),  # many renamed at once on Windows
        ("anna/brain ({}).png", "anna/brain_mask ({}).png"),
        ("images/brain({}).png", "masks/brain_mask({}).png"),
        ("images/{}.png", "masks/{}_m.png"),
        ("image/a/P1-{}.png", "mask/a/P1-{}_m.png"),
        ("images/{}.jpg", "masks/{}.jpg.png"),
        ("anna/{}.png", "anna/{}.png_mask.png"),
        ("FLAIR/{}_flair.png", "seg/{}_seg.png"),
        ("anna/img_{}.png", "anna/masks/mask_{}.png"),
    ],
)
def test_images_and_masks_that_differ_in_a_word_are_pairs(tmp_path, images, masks):
    wanted = set()
    for number in (1, 2, 3, 11):
        image(tmp_path / images.format(number))
        draw_mask(tmp_path / masks.format(number))
        wanted.add((images.format(number), masks.format(number)))
    assert pairs_of(tmp_path) == wanted and check(tmp_path).is_sound
    sources, left_out = find_sources([tmp_path])
    assert {source.path for source in sources} == {tmp_path / one for one, _ in wanted}
    assert [(group.code, group.count) for group in left_out] == [("expert_mask", 4)]


def test_slices_of_other_sequences_beside_flairs_are_left_out_by_name(tmp_path):
    """As BraTS' sequences are saved slice by slice into one folder; T1, T2 and the masks' remedy were no help."""
    for patient in ("001", "002"):
        for number in (7, 8):
            for sequence in ("flair", "t1", "t1ce", "t2"):
                image(tmp_path / f"BraTS20_{patient}_{sequence}_{number}.png")
            draw_mask(tmp_path / f"BraTS20_{patient}_seg_{number}.png")
    layout = find_layout(tmp_path)
    assert pairs_of(tmp_path) == {
        (f"BraTS20_{patient}_flair_{number}.png", f"BraTS20_{patient}_seg_{number}.png")
        for patient in ("001", "002")
        for number in (7, 8)
    }
    (left_out,) = layout.left_out
    assert left_out.count == 12 and left_out.message.startswith("Slices of another sequence than FLAIR")
    assert {problem.code for problem in layout.problems} == {"left_out", "unnamed_patients"}
    assert {source.path.name for source in find_sources([tmp_path])[0]} == {one for one, _ in pairs_of(tmp_path)}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (("img_0", "img_1", "img_2"), ("mask_1", "mask_2", "mask_3")),  # each would be its neighbor's
        (("img_1", "scan_1"), ("mask_1",)),
        (("img_1",), ("mask_1", "seg_1")),
        (("t1_1", "t2_1"), ("seg_1",)),
        (("img_01", "img_02"), ("mask_1", "mask_2")),
        (("P1_1",), ("P1_mask_1",)),
        (("P1",), ("P1_mask (1)",)),
        (("1", "2"), ("11.png_mask", "12.png_mask")),
    ],
)
def test_what_is_not_clear_is_no_pair(tmp_path, images, masks):
    for stem in images:
        image(tmp_path / "anna" / f"{stem}.png")
    for stem in masks:
        draw_mask(tmp_path / "anna" / f"{stem}.png")
    with pytest.raises(DatasetError, match="no mask is an image's"):
        find_layout(tmp_path)


def test_a_picture_of_labels_on_their_image_is_neither(tmp_path):
    """LabelMe writes it beside both; it was a slice without a mask, and one to predict on."""
    for name, draw in (("img", image), ("label", draw_mask), ("label_viz", image)):
        for folder in ("TCGA_DU_6404_19850629_1_json", "TCGA_DU_6404_19850629_2_json"):
            draw(tmp_path / folder / f"{name}.png")
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"TCGA_DU_6404_19850629"}
    assert [(group.code, group.count) for group in layout.left_out] == [("left_out", 2)]
    assert "neither of the two" in layout.left_out[0].message
    assert {source.path.name for source in find_sources([tmp_path])[0]} == {"img.png"}


@pytest.mark.parametrize("folder", ["PixelLabelData", "masks"])
def test_labels_that_matlab_counts_are_not_paired_by_their_numbers(tmp_path, folder):
    """Its order is that of the session's images: `slice_10` comes before `slice_2`."""
    for number in (1, 2, 10):
        image(tmp_path / "images" / f"slice_{number}.png")
        draw_mask(tmp_path / folder / f"Label_{number}.png")
    with pytest.raises(DatasetError, match="MATLAB's Image Labeler counts its labels"):
        find_layout(tmp_path)
    assert {source.path.parent.name for source in find_sources([tmp_path])[0]} == {"images"}


@pytest.mark.parametrize("masks", ["masks", "masks/flair"])
def test_sequences_within_the_folder_of_images_are_read_by_flair(tmp_path, masks):
    """`images/flair`, `images/t1` and one folder of masks were told to have no mask of their names."""
    for stem in "123":
        image(tmp_path / "images" / "flair" / f"{stem}.png")
        image(tmp_path / "images" / "t1" / f"{stem}.png")
        draw_mask(tmp_path / masks / f"{stem}.png")
    assert pairs_of(tmp_path) == {(f"images/flair/{stem}.png", f"{masks}/{stem}.png") for stem in "123"}
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"1", "2", "3"}
    assert [(group.count, group.files[0]) for group in layout.left_out] == [(3, "images/t1/1.png")]
    assert len(find_sources([tmp_path])[0]) == 3


def test_label_studios_brush_is_told_that_its_masks_do_not_name_their_images(tmp_path):
    for number in range(1, 4):
        image(tmp_path / "images" / f"{number}.png")
        for reader in (1, 2):
            name = f"task-{number}-annotation-{2 * number + reader}-by-{reader}-tag-Tumor-0.png"
            draw_mask(tmp_path / "masks" / name)
    with pytest.raises(DatasetError, match="Label Studio calls the masks of a brush by task and annotator"):
        check(tmp_path)
