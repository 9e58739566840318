"""Which files of an upload are one scan."""

import pytest

from webapp.domain.scans.grouping import FileGroup, Grouping, group_files, missing_numbers

AUTO = {
    "numbers in their natural order": (
        ["p/s_9.png", "p/s_10.png", "p/s_11.png", "p/s_8.png"],
        [FileGroup("p s", (3, 0, 1, 2))],
    ),
    "two folders of equal names are two": (
        ["a/1.png", "b/1.png", "a/2.png", "b/2.png"],
        [FileGroup("a", (0, 2)), FileGroup("b", (1, 3))],
    ),
    "a name that is every patient's follows the patient's": (
        [
            "c/P7/flair/1.png",
            "c/P7/flair/2.png",
            "c/P8/flair_1.png",
            "c/P8/flair_2.png",
            "P9/t1.nii.gz",
            "P9/P9_t1.nii",
        ],
        [
            FileGroup("P7 flair", (0, 1)),
            FileGroup("P8 flair", (2, 3)),
            FileGroup("P9 t1.nii.gz", (4,)),
            FileGroup("P9_t1.nii", (5,)),
        ],
    ),
    "a folder that every patient has follows that of the patient": (
        ["Z/P1/images/s_1.png", "Z/P1/images/s_2.png", "Z/P2/images/s_1.png", "Z/P2/images/s_2.png"],
        [FileGroup("P1 images s", (0, 1)), FileGroup("P2 images s", (2, 3))],
    ),
    "folders of sequences follow that of the patient": (
        ["P1/T1/s_1.png", "P1/T1/s_2.png", "P1/FLAIR/Images/1.png", "P1/FLAIR/Images/2.png", "images/img/t_1.png"],
        [FileGroup("P1 T1 s", (0, 1)), FileGroup("P1 FLAIR Images", (2, 3)), FileGroup("img t_1.png", (4,))],
    ),
    "a name that says whose it is": (
        ["export/TCGA_12_1.tif", "export/TCGA_12_2.tif", "export/TCGA_34.tif"],
        [FileGroup("TCGA_12", (0, 1)), FileGroup("TCGA_34.tif", (2,))],
    ),
    "two names of one folder are two": (
        ["TCGA_A_1.tif", "TCGA_B_1.tif", "TCGA_A_2.tif", "TCGA_B_2.tif"],
        [FileGroup("TCGA_A", (0, 2)), FileGroup("TCGA_B", (1, 3))],
    ),
    "folders that differ in case": (
        ["P1/a_1.png", "p1/a_2.png", "P1/a_3.png"],
        [FileGroup("P1 a", (0, 2)), FileGroup("p1 a_2.png", (1,))],
    ),
    "any case and leading zeros": (["S-009.PNG", "s-010.png"], [FileGroup("S", (0, 1))]),
    "no folder and no name": (["1.png", "2.png"], [FileGroup("Stack", (0, 1))]),
    "a gap stays one": (["s1.png", "s2.png", "s5.png"], [FileGroup("s", (0, 1, 2))]),
    "every second number": (["s1.png", "s3.png", "s5.png"], [FileGroup("s", (0, 1, 2))]),
    "patients are no slices": (["P001.png", "P350.png"], [FileGroup("P001.png", (0,)), FileGroup("P350.png", (1,))]),
    "names without numbers": (["a.png", "b.png"], [FileGroup("a.png", (0,)), FileGroup("b.png", (1,))]),
    "one alone": (["p/s_1.png"], [FileGroup("p s_1.png", (0,))]),
    "doubled numbers are not guessed": (
        ["s1.png", "s2.png", "s02.png"],
        [FileGroup("s1.png", (0,)), FileGroup("s2.png", (1,)), FileGroup("s02.png", (2,))],
    ),
    "two kinds of files are two": (
        ["s1.png", "s1.tif", "s2.TIF", "s2.png"],
        [FileGroup("s", (0, 3)), FileGroup("s", (1, 2))],
    ),
    "both spellings of an accent": (["é1.png", "e\u03011.png", "é2.png"], None),
    "one number in two folders": (
        ["week/A/slice_090.png", "week/B/slice_090.png"],
        [FileGroup("A slice_090.png", (0,)), FileGroup("B slice_090.png", (1,))],
    ),
    "a long run of digits": (["x" + "7" * 30 + ".png", "x" + "7" * 29 + "8.png"], [FileGroup("x", (0, 1))]),
    "a date before the number": (
        ["head_20240101001.png", "head_20240101002.png"],
        [FileGroup("head", (0, 1))],
    ),
    "numbers in brackets, as Windows writes them": (
        ["scan (2).png", "scan (1).png", "scan 3.png"],
        [FileGroup("scan", (1, 0)), FileGroup("scan 3.png", (2,))],
    ),
}


@pytest.mark.parametrize(("paths", "groups"), AUTO.values(), ids=AUTO.keys())
def test_numbered_files_of_one_name_are_one_scan(paths: list[str], groups: list[FileGroup] | None) -> None:
    found = group_files(paths, Grouping.AUTO)
    if groups is None:  # two files of one number: none is grouped
        groups = [FileGroup(path, (place,)) for place, path in enumerate(paths)]
    assert found == groups


def test_a_stack_takes_all_in_natural_order() -> None:
    paths = ["p/b.png", "p/a 10.png", "p/a 9.png"]
    assert group_files(paths, Grouping.STACK) == [FileGroup("p", (2, 1, 0))]
    assert group_files(["x/1.png", "y/2.png"], Grouping.STACK) == [FileGroup("x 1", (0, 1))]
    assert group_files(["one.png"], Grouping.STACK) == [FileGroup("one.png", (0,))]


def test_each_alone_is_the_default_of_programs() -> None:
    assert group_files(["s1.png", "s2.png"], Grouping.NONE) == [FileGroup("s1.png", (0,)), FileGroup("s2.png", (1,))]
    paths = ["P7/flair.png", "P8/flair.png", "P9/t1.png"]  # two are called alike: nobody could tell them apart
    assert [group.name for group in group_files(paths, Grouping.NONE)] == ["P7 flair.png", "P8 flair.png", "t1.png"]


def test_what_is_missing_between_the_numbers() -> None:
    assert missing_numbers(["s_2.png", "s_3.png", "s_6.png"]) == [4, 5]
    assert missing_numbers(["s_2.png", "t_6.png"]) == missing_numbers(["a.png", "b.png"]) == missing_numbers([]) == []
    assert missing_numbers(["s_2.png", "s_999999999.png"]) == []


@pytest.mark.parametrize("grouping", [Grouping.NONE, Grouping.AUTO])
def test_digits_of_a_name_that_two_files_have_tell_nobody_apart(grouping: Grouping) -> None:
    paths = ["week 48/Maier/slice_090.png", "week 48/Müller/slice_090.png", "week 48/Lang/slice_091.png"]
    names = [group.name for group in group_files(paths, grouping)]
    assert names == ["Maier slice_090.png", "Müller slice_090.png", "slice_091.png"]
