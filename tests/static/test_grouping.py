"""The browser groups the files of a drop as the server would: its cards are the scans that come of it."""

import random
from dataclasses import asdict

import pytest
from playwright.sync_api import Page

from tests.webapp.domain.scans.test_grouping import AUTO
from webapp.domain.scans.grouping import Grouping, group_files
from webapp.domain.scans.mask_pairs import pair_masks

pytestmark = pytest.mark.browser

GROUP = """async (lists) => {
  const { groupFiles } = await import("/js/scans/grouping.js");
  const { pairMasks } = await import("/js/scans/mask_pairs.js");
  const plain = ({ scans, masks, refused }) => [scans, [...masks], refused];
  return lists.map((paths) => [groupFiles(paths), plain(pairMasks(paths))]);
}"""
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
    ".Mask",
    "-label",
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


def test_both_rules_make_the_same_scans_of_the_same_names(module_page: Page) -> None:
    chance = random.Random(13)
    made_up = [
        [
            "".join(chance.choices(PARTS, k=chance.randint(1, 3))) + chance.choice(["1.png", "2.png", "3", ".tif"])
            for _ in range(16)
        ]
        for _ in range(800)
    ]
    lists = [*(paths for paths, _ in AUTO.values()), *made_up]
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
