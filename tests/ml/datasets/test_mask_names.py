"""Which names look like masks: a mask that is taken for a scan is a tumor that nobody has."""

import pytest

from ml.datasets.mask_names import (
    count_own_folders,
    doubtful_word,
    looks_like_mask,
    mask_sign,
    mask_word,
    name_without_mask,
)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("s_1_mask.png", "_mask"),
        ("S_1_MASK.TIF", "_MASK"),
        ("s_seg.png", "_seg"),
        ("s_gt.tif", "_gt"),
        ("s_label.png", "_label"),
        ("ISIC_0001_Segmentation.png", "_Segmentation"),
        ("s-mask.png", "-mask"),
        ("s.mask.png", ".mask"),
        ("s mask.png", " mask"),
        ("ScanMask.png", "Mask"),
        ("s_masks.jfif", "_masks"),
        ("s_gtv.nii.gz", "_gtv"),
        ("s_mask_1.png", "_mask_1"),
        ("s_mask1.png", "_mask1"),
        ("s_mask (2).png", "_mask (2)"),
        ("s_mask - Copy.png", "_mask - Copy"),
        ("s_mask copy 2.png", "_mask copy 2"),
        ("s-label.nii.gz", "-label"),
        ("1-LesionSeg.nii", "-LesionSeg"),
        ("s_tumorseg.png", "_tumorseg"),
        ("1-LesionSeg-Flair.nii", "-LesionSeg-Flair"),
        ("s_mask_t1ce.nii.gz", "_mask_t1ce"),
        ("seg_flair.nii.gz", "seg_flair"),
        ("s_no_mask_flair.nii.gz", ""),
        ("s_without_mask-t2f.nii", ""),
        ("s_mask_flair.png", ""),
        ("s.seg.nrrd", ".seg"),
        ("s_ground_truth.png", "_ground_truth"),
        ("s_GroundTruth.png", "_GroundTruth"),
        ("mask.png", "mask"),
        ("seg.png", "seg"),
        ("label_12.png", "label_12"),
        ("Mask_s.png", "Mask_"),
        ("label_s_z08.png", "label_"),
        ("seg_s_flair.nii.gz", "seg_"),
        ("W39_1998.09.19_Segm.nii", "_Segm"),
        ("sub-strokecase0001_ses-0001_msk.nii.gz", "_msk"),
        ("7-msk.png", "-msk"),
        ("MSK_001.png", ""),
        ("s_mask .png", "_mask "),
        ("TCGA-02-0006_1996.08.23_GlistrBoost.nii.gz", "_GlistrBoost"),
        ("s_GlistrBoost_ManuallyCorrected.nii.gz", "_GlistrBoost_ManuallyCorrected"),
        ("sub-01_desc-lesion_dseg.nii.gz", "_dseg"),
        ("task-7-annotation-12-by-1-tag-Tumor-0.png", "task-7-annotation-12-by-1-tag-Tumor-0"),
    ],
)
def test_what_makes_a_name_a_masks_is_said_as_it_is_written(name, word):
    assert mask_word(name) == mask_sign(f"patient 7/{name}") == word
    assert name_without_mask(name) + word in name or word + name_without_mask(name) in name


@pytest.mark.parametrize(
    "name",
    [
        "masked_1.png",
        "unmasked.png",
        "insight.png",
        "TCGA_DU_6404_19850629_32.tif",
        "labeled.png",
        "maskless.png",
        "segment 3.png",
        "seg_flair.png",
        "scan (1).png",
        "",
        ".png",
    ],
)
def test_other_names_do_not(name):
    assert mask_word(name) == "" and not looks_like_mask(name)


@pytest.mark.parametrize(
    "path",
    [
        "set/Masks/anna/1.png",
        "labels\\1.png",
        "Ground_Truth/1.png",
        "MASK/1.png",
        "SegmentationClass/1.png",
        "train_masks/1.png",
        "Tumor Mask/1.png",
        "ds0/masks_machine/1.png",
        "ds0/masks_human/1.png",
        "mask images/1.png",
        "valannot/1.png",
    ],
)
def test_a_folder_of_masks_says_it_too(path):
    assert looks_like_mask(path) and mask_sign(path).endswith("/")


def test_a_folder_that_only_ends_like_one_does_not():
    assert not looks_like_mask("lgg-mri-segmentation/kaggle_3m/anna/1.tif")
    assert not looks_like_mask("segmentation/images/1.png")
    assert not looks_like_mask("segmentation/1.png") and looks_like_mask("P1/Segmentation/1.png")
    for folder in ("with_mask", "no masks", "images_and_masks", "unmasked", "mask-rcnn-data", "annot"):
        assert not looks_like_mask(f"{folder}/1.png")


@pytest.mark.parametrize(
    ("stem", "word"),
    [
        ("s_roi", "_roi"),
        ("s_mask_edema", "_mask_edema"),
        ("s_seg_v2", "_seg_v2"),
        ("s_lesion1", "_lesion1"),
        ("s_tumor_02", "_tumor_02"),
        ("s_7", ""),
        ("s_roi7b", ""),
    ],
)
def test_what_may_be_a_masks_word_too(stem, word):
    assert doubtful_word(stem) == word


@pytest.mark.parametrize(
    ("paths", "count"),
    [
        (["brains_mask/P1/0/1.jpg", "brains_mask/P1/seg/1.jpg"], 1),
        (["brains_mask/0/1.jpg", "brains_mask/seg/1.jpg"], 1),
        (["a/LGG mask/P1/1.tif", "a\\LGG mask\\P1\\1_mask.tif", "README.md"], 2),
        (["brains_mask/P1/1.jpg", "brains_mask/P2/1.jpg"], 0),  # nothing tells them from masks
        (["brains_mask/P1/masks/1.jpg", "brains_mask/P2/1_mask.jpg"], 0),
        (["train_masks/1_seg.png", "train_masks/2.png", "train_images/2.png"], 0),
        (["brains/P1/0/1.jpg", "brains/P1/seg/1.jpg"], 0),
        (["masks/1.png", "masks/1_mask.png"], 0),
        ([], 0),
    ],
)
def test_a_folder_around_masks_and_others_is_no_folder_of_masks(paths: list[str], count: int) -> None:
    assert count_own_folders(paths) == count
    if count:
        assert {bool(mask_sign(path, count)) for path in paths} == {True, False}
