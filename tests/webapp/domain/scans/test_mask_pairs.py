"""Which files of an upload are experts' masks, and of which slice."""

import pytest

from ml.datasets.layouts.results import OF_PREDICT
from webapp.domain.scans.mask_pairs import OWN_RESULT, match_slices, pair_masks


@pytest.mark.parametrize(
    ("paths", "masks", "refused"),
    [
        (["p/s_1.png", "p/s_1_mask.png"], {0: 1}, []),
        (["S_1.PNG", "s_1_MASK.TIF"], {0: 1}, []),
        (["a/1.png", "b/1.png", "b/1_mask.png"], {1: 2}, []),
        (["images/1.png", "Masks/1.png"], {0: 1}, []),
        (["P/1.png", "P/labels/1_mask.png"], {0: 1}, []),
        (["train/imgs/1.png", "train/masks/1.png", "test/imgs/1.png"], {0: 1}, []),
        (["a.png", "a.tif", "a_mask.png"], {}, [2]),
        (["a.png", "a_mask.png", "masks/a.png"], {}, [1, 2]),
        (["masked_1.png", "insight.png"], {}, []),
        (["a.png", "a_seg.png", "a_mask_1.png", "gt/a.png"], {}, [1, 2, 3]),
        (["a_mask.png"], {}, [0]),
        (["p/A.nii.gz", "p/a-seg.nii"], {0: 1}, []),
        (["a.nii", "a_label.nii.gz", "b.nii.gz"], {0: 1}, []),
        (["a.nii.gz", "a_mask.tif"], {0: 1}, []),
        (["a.nii.gz", "a.seg.nrrd", "b-t2f.nii.gz", "b-seg.NRRD"], {0: 1, 2: 3}, []),
        (["a-t1n.nii.gz", "a-t2f.nii.gz", "a-seg.nii.gz"], {1: 2}, []),
        (["a.nii.gz", "a_flair.nii.gz", "a_seg.nii.gz"], {0: 2}, []),
        (["a-t2f.nii.gz", "a_flair.nii.gz", "a_seg.nii.gz"], {}, [2]),
        (["images/a.nii.gz", "labels/a.nii.gz"], {0: 1}, []),
        (["a.nii.gz", "a-seg_2.nii.gz", ".nii.gz"], {}, [1]),
        (["a.nii.gz", "a Segmentation.nii.gz", "b.nii", "b_annotation.nii"], {0: 1, 2: 3}, []),
        (["a.png", "a_roi.png", "b_tumor.png", "c-lesion.png", "p/c.png"], {}, [1]),
        (["a.nii.gz", "a_m.nii.gz"], {}, [1]),
        (["task-1-annotation-2-by-3-tag-Tumor-0.png", "JPEGImages/a.png", "SegmentationClass/a.png"], {}, [0, 2]),
        (["P/images/1.png", "P/masks/1_seg.png", "P/masks/2_seg.png"], {0: 1}, [2]),
        (["X_FLAIR.nii.gz", "X_tumor_segmentation.nii.gz", "X_brain_segmentation.nii.gz"], {0: 1}, [2]),
        (["a.png", "a_mask_edema.png", "a_mask .png", "train_masks/b.png"], {0: 2}, [1, 3]),
        (["a.png", "annotations.json", "labels/a.txt"], {}, []),
        (["1-Flair.nii", "1-LesionSeg-Flair.nii", "1-LesionSeg-T1.nii", "no_mask_flair.nii"], {0: 1}, [2]),
        (["img_dir/train/1.png", "ann_dir/train/1.png"], {}, [1]),
        (["0.png", "0_predict.png", "1_predict.png", "2.PNG", "2_Pred.png"], {}, [1, 4]),
        (["0.png", "0_lesion1.png", "1_overlay.png", "2.PNG", "2_Overlay.png"], {}, [1, 4]),
        (["image_P_z1.png", "label_P_z1.png", "seg_P_z1.png"], {}, [1, 2]),
        (["s/images/slice_0000.png", "s/mask/slice_0000.png", "errors/slice_1.png"], {0: 1}, []),
        (["P1_flair_brain.nii.gz", "P1_flair_brain_mask.nii.gz"], {}, [1]),  # what BET and HD-BET write
        (["P1_flair_bet.nii.gz", "P1_flair_bet_mask.nii.gz", "P1_flair_bet_seg.nii.gz"], {}, [1, 2]),
        (["P1_flair.nii.gz", "P1_tumor_mask.nii.gz", "P1_eye_L_seg.nii.gz"], {0: 1}, [2]),
        (["brain.nii.gz", "brain_mask.nii.gz", "head_brain.png", "head_brain_mask.png"], {0: 1, 2: 3}, []),
        (["a_json/img.png", "a_json/label.png", "a_json/label_viz.png"], {}, [1, 2]),
    ],
)
def test_a_mask_belongs_to_the_one_slice_of_its_name(paths: list[str], masks: dict[int, int], refused: list) -> None:
    found = pair_masks(paths)
    assert (found.masks, sorted(found.refused)) == (masks, refused)
    assert sorted([*found.scans, *found.masks.values(), *refused]) == list(range(len(paths)))


def test_masks_that_come_later_are_told_by_the_names_of_the_slices() -> None:
    slices = ["s_1.png", "S_2.png", "s_3.tif"]
    assert match_slices(slices, ["s_3_mask.png", "s_2.tif"]) == [2, 1]
    assert match_slices(slices, ["x_1.png"]) is None
    assert match_slices(slices, ["s_1.png", "s_1_mask.png"]) is None
    assert match_slices(["a.png", "a.tif"], ["a_mask.png"]) is None


def test_pictures_of_a_result_are_no_scans() -> None:
    """The zip of a result, dropped on the portal: a map of probabilities had the verdict that there is no tumor."""
    kinds = ("scan", "mask", "probability", "overlay", "heatmap", "panels", "errors")
    paths = [f"Study/P1/{kind}/slice_0000.png" for kind in kinds] + ["Study\\P1\\mask.tif", "P2/mask.tif"]
    found = pair_masks(paths)
    assert found.scans == (0,) and not found.masks
    assert {place for place, said in found.refused.items() if said == OWN_RESULT} == {1, 2, 3, 4, 5, 6, 7}
    assert "expert's mask" in found.refused[8]


def test_pictures_that_predict_wrote_are_no_scans() -> None:
    kinds = ("masks", "cutouts", "overlays")
    paths = [
        "P1/a.png",
        *(f"P1/results/{kind}/a.png" for kind in kinds),
        "P1/results/volumes/a.nii.gz",
        "cutouts/b.png",
    ]
    found = pair_masks(paths)
    assert found.scans == (0, 5) and not found.masks
    assert found.refused == dict.fromkeys(range(1, 5), OF_PREDICT)


# Of each upload the places of the masks that are counted from another number than their slices.
SHIFTED = {
    "folders": (
        [f"P1/images/{n:04}.png" for n in range(1, 6)] + [f"P1/masks/{n:04}.png" for n in range(5)],
        range(5, 10),
    ),
    "names": ([f"M1/slice_{n}.png" for n in range(4)] + [f"M1/slice_{n}_mask.png" for n in range(1, 5)], range(4, 8)),
    "another word in front": (
        [f"images/img_{n}.png" for n in range(3)] + [f"masks/img_{n}_seg.png" for n in (1, 2, 3)],
        range(3, 6),
    ),
    "one of two patients": (
        [f"A/{n}.png" for n in range(3)]
        + [f"A/{n}_mask.png" for n in (1, 2, 3)]
        + [f"B/{n}.png" for n in range(3)]
        + [f"B/{n}_mask.png" for n in range(3)],
        range(3, 6),
    ),
    "a slice without a mask": ([f"P1/{n}.png" for n in range(5)] + [f"P1/{n}_mask.png" for n in range(1, 5)], ()),
    "a mask without its slice": ([f"P1/{n}.png" for n in range(1, 5)] + [f"P1/{n}_mask.png" for n in range(5)], ()),
    "a gap": (["1.png", "2.png", "4.png", "2_mask.png", "4_mask.png", "5_mask.png"], ()),
    "two": (["1.png", "2.png", "2_mask.png", "3_mask.png"], ()),
    "volumes": ([f"{n}.nii.gz" for n in range(3)] + [f"{n}_mask.nii.gz" for n in (1, 2, 3)], ()),
}


@pytest.mark.parametrize("name", SHIFTED)
def test_masks_that_are_counted_from_another_number_are_nobodys(name: str) -> None:
    """Each but the first or the last had its neighbor's slice, without a word."""
    paths, shifted = SHIFTED[name]
    found = pair_masks(paths)
    said = {place for place, text in found.refused.items() if "counted from different numbers" in text}
    assert said == set(shifted) and not said & set(found.masks.values())
    assert found.masks or name in ("folders", "names", "another word in front")
