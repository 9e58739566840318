"""The browser groups the files of a drop as the server would: its cards are the scans that come of it."""

import random
from dataclasses import asdict

import pytest
from playwright.sync_api import Page

from tests.webapp.domain.scans.test_grouping import AUTO
from webapp.domain.scans.grouping import Grouping, group_files, is_mask

pytestmark = pytest.mark.browser

GROUP = """async (lists) => {
  const { groupFiles, isMask } = await import("/js/scans/grouping.js");
  return lists.map((paths) => [groupFiles(paths), paths.map(isMask)]);
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
    grouped = 0
    for paths, (groups, masks) in zip(lists, module_page.evaluate(GROUP, lists), strict=True):
        expected = [{**asdict(group), "places": list(group.places)} for group in group_files(paths, Grouping.AUTO)]
        assert groups == expected, paths
        assert masks == [is_mask(path) for path in paths], paths
        grouped += any(len(group["places"]) > 1 for group in expected)
    assert grouped > 50
