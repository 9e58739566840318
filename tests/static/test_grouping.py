"""The browser groups the files of a drop as the server would: its cards are the scans that come of it."""

import random
from dataclasses import asdict

import pytest
from playwright.sync_api import Page

from ml.scans.sequence import SEQUENCE_WORDS
from tests.webapp.domain.scans.test_grouping import AUTO
from tests.webapp.domain.scans.test_mask_pairs import SHIFTED
from tests.webapp.domain.scans.test_sequence_groups import SEQUENCES_OF_ONE
from webapp.domain.scans.grouping import Grouping, group_files
from webapp.domain.scans.mask_pairs import pair_masks
from webapp.domain.scans.sequence_groups import study_names

pytestmark = pytest.mark.browser

GROUP = """async (lists) => {
  const { groupFiles } = await import("/js/scans/grouping.js");
  const { pairMasks } = await import("/js/scans/mask_pairs.js");
  const sorted = (...places) => places.flat().sort((a, b) => a - b);
  const plain = ({ scans, masks, refused, shifted, answers }) => [scans, [...masks], sorted(refused, shifted, answers)];
  return lists.map((paths) => [groupFiles(paths), plain(pairMasks(paths))]);
}"""
ENDS = ["1.png", "2.png", "3", ".tif", ".json", ".nii", ".nii.gz", "-seg.NII.gz", "_t2f.nii.gz"]
PARTS = [
    "s",
    "S",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "_",
    "-",
    " ",
    "(",
    "[",
    ".",
    "/",
    "\\",
    "_mask",
    "mask ",
    "masks/",
    "Images/",
    "gt/",
    "SegmentationClass/",
    "Segmentation/",
    "_gtFine_color",
    "task-1-annotation-2-by-3-tag-",
    ".Mask",
    "-label",
    "_roi",
    "_predict",
    "_overlay",
    ".prob",
    "label_",
    "seg-",
    "_msk",
    "msk/",
    "VSD.Brain.OT.",
    "_BraTS_tumor_seg.nii",
    "_mask_x",
    "_tumor_segm",
    "train_masks/",
    "masks_rater1/",
    "masks2/",
    "mask_edema/",
    "Masken/",
    "_Maske",
    " masque",
    "Segmentierung",
    "with masks/",
    "masks_machine/",
    " lesion",
    "annotations",
    "copy ",
    ")",
    "777777777",
    ".png",
    ".TIF",
    "0",
    "1",
    "2",
    "07",
    "10",
    "999",
]


SEQUENCES = ["flair", "FLAIR", "t1", "T1", "t1c", "t2f", "post", "t1-post", "ax", "T2*", "dwi", "with contrast"]
STUDIES = {
    "one stack of one folder": (["P7/1.png", "P7/2.png"], {"1.png": ""}),
    "two stacks of a patient": (["P7/flair/1.png", "P7/flair/2.png", "P7/t1/1.png", "P7/t1/2.png"], {"1.png": "P7"}),
    "patients of a cohort": (["c/P7/1.png", "c/P7/2.png", "c/P8/1.png", "c/P8/2.png"], {"1.png": "c"}),
    "a cohort whose patients have several": (
        ["c/P7/a.png", "c/P7/b.png", "c/P8/1.png", "c/P8/2.png", "c/x.png"],
        {"a.png": "P7", "b.png": "P7", "1.png": "c", "x.png": "c"},
    ),
    "one name in two places": (
        ["c/a/P1/x.png", "c/a/P1/y.png", "c/b/P1/x.png", "c/b/P1/z.png"],
        {"y.png": "c/a/P1", "z.png": "c/b/P1"},
    ),
    "no folder": (["a.png", "b.png"], {"a.png": "", "b.png": ""}),
}


@pytest.mark.parametrize("name", STUDIES)
def test_the_nearest_folder_with_several_scans_is_their_study(module_page: Page, name: str) -> None:
    paths, expected = STUDIES[name]
    groups = [{"places": list(group.places)} for group in group_files(paths, Grouping.AUTO)]
    script = """async ([paths, groups]) => (await import("/js/scans/grouping.js")).studyNames(paths, groups)"""
    names = module_page.evaluate(script, [paths, groups])
    assert len(names) == len(groups)
    found = {paths[group["places"][0]].rpartition("/")[2]: study for group, study in zip(groups, names, strict=True)}
    assert {file: found[file] for file in expected} == expected


def test_both_rules_name_the_same_studies_of_sequences(module_page: Page) -> None:
    chance = random.Random(13)
    words = [*SEQUENCES, "P07", "é", "BraTS-GLI-00001-000", "_", "-", " ", "s/", "S/", "12", "İ"]
    made_up = [["".join(chance.choices(words, k=3)) + chance.choice(ENDS[-4:]) for _ in range(8)] for _ in range(400)]
    lists = [*(paths for paths, _ in SEQUENCES_OF_ONE.values()), *made_up]
    script = """async ([lists, words]) => {
      const { sequenceStudies } = await import("/js/scans/sequences.js");
      return lists.map((paths) => sequenceStudies(paths, words, "now"));
    }"""
    named = 0
    for paths, names in zip(lists, module_page.evaluate(script, [lists, SEQUENCE_WORDS]), strict=True):
        found = study_names(paths, "now")
        assert names == [found.get(place, "") for place in range(len(paths))], paths
        named += bool(found)
    assert named > 40


def test_both_rules_make_the_same_scans_of_the_same_names(module_page: Page) -> None:
    chance = random.Random(13)
    made_up = [
        ["".join(chance.choices(PARTS, k=chance.randint(1, 3))) + chance.choice(ENDS) for _ in range(16)]
        for _ in range(800)
    ]
    of_anatomy = [
        [
            f"P1_flair{word}.nii.gz",
            f"P1_flair{word}_mask.nii.gz",
            f"P1_flair{word}-SEG.nrrd",
            f"P1_flair{word}_mask.png",
        ]
        for word in ("_brain", "-BET", "_hd-bet", "_eye_L", ".brain extraction", "_optic_nerve", "_aparc+aseg", "", "x")
    ]
    shifted = [paths for paths, _ in SHIFTED.values()]
    lists = [*(paths for paths, _ in AUTO.values()), *of_anatomy, *shifted, *made_up]
    grouped = paired = refused = 0
    for paths, (groups, [scans, masks, others]) in zip(lists, module_page.evaluate(GROUP, lists), strict=True):
        expected = [{**asdict(group), "places": list(group.places)} for group in group_files(paths, Grouping.AUTO)]
        assert groups == expected, paths
        pairs = pair_masks(paths)
        assert (scans, others) == (list(pairs.scans), sorted(pairs.refused)), paths
        assert dict(masks) == pairs.masks, paths
        paired, refused = paired + bool(masks), refused + bool(others)
        grouped += any(len(group["places"]) > 1 for group in expected)
    assert min(grouped, paired, refused) > 20


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["1.jpg", "2.jpg", "1.png"], ["1.jpg", "1.png"]),
        (["set/Scan.TIF", "set/scan.png"], ["set/Scan.TIF", "set/scan.png"]),
        (["a/1.jpg", "b/1.png"], None),
        (["1.jpg", "1.nii.gz", "1.JPG"], None),
    ],
)
def test_pictures_that_may_be_a_slice_and_its_mask_are_noticed(
    module_page: Page, paths: list[str], expected: list[str] | None
) -> None:
    script = """async (paths) => (await import("/js/scans/mask_pairs.js")).namesakes(paths)"""
    assert module_page.evaluate(script, paths) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/slice_01_flair.png", "a/slice_02_flair.png", "a/slice_03_flair.png"], (3, "slice_01_flair.png")),
        (["a/slice_01_flair.png", "a/slice_02_flair.png", "b/slice_03_flair.png"], None),
        (["IM-0001-0001_anon.jpg", "IM-0001-0002_anon.jpg", "IM-0001-0003_anon.jpg"], (3, "IM-0001-0001_anon.jpg")),
        (["s1.png", "s2.png", "s3.png"], None),
        (["P1_flair.nii", "P2_flair.nii", "P3_flair.nii"], None),
        (["a.png", "b.png", "c.png"], None),
    ],
)
def test_pictures_that_may_be_slices_of_one_head_are_noticed(
    module_page: Page, paths: list[str], expected: tuple[int, str] | None
) -> None:
    script = """async (paths) => (await import("/js/scans/grouping.js")).likeSlices(paths)"""
    found = module_page.evaluate(script, paths)
    assert found == (None if expected is None else dict(zip(("count", "first"), expected, strict=True)))
