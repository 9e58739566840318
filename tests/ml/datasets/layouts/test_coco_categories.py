"""Which of COCO's categories are tumor."""

import json

import pytest

from ml.datasets import check, list_cases
from tests.support.layouts import SQUARE, coco, image


def is_tumor(folder, name):
    """Whether what is annotated as this category is read as tumor."""
    image(folder / "a.png")
    path = folder / "_annotations.coco.json"
    coco(path, ["a.png"], [[SQUARE]])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": document["annotations"][0]["category_id"], "name": name}]
    path.write_text(json.dumps(document))
    return bool(list_cases(folder)[0].truth().any())


@pytest.mark.parametrize(
    "name",
    [
        "non-tumour",
        "No Tumor",
        "Normal brain",
        "tumor-free",
        "non-tumor region",
        "No lesion",
        "healthy brain tissue",
        "White matter",
        "without tumor",
        "free of tumour",
        "artifact",
        "_artifact",
        "motionArtefacts",
        "susceptibility artifact",
        "__ignore__",
        "unlabelled",
        "Left ventricle",
        "blood vessels",
        "stroke",
        "resection cavity",
        "Optic chiasm",
        "kein Tumor",
        "Gesundes Gewebe",
        "linker Ventrikel",
        "Schädel",
        "pas de tumeur",
        "cerveau",
        "sin tumor",
        "senza lesione",
        "正常",
        "脑室",
        "无肿瘤",
        "нет опухоли",
        "정상",
    ],
)
def test_a_category_that_says_that_it_is_no_tumor_is_none(tmp_path, name):
    assert not is_tumor(tmp_path, name)


@pytest.mark.parametrize(
    "name",
    [
        "non-enhancing tumor",
        "not normal",
        "abnormal",
        "Brain tumor",
        "benign",
        "whole tumor",
        "0",
        "lesion no 2",
        "lesion with artifact",
        "Läsion",
        "Hirntumor links",
        "tumeur de la tête",
        "tumor in the resection cavity",
        "optic glioma",
        "肿瘤",
        "脑肿瘤",
        "опухоль",
    ],
)
def test_a_category_with_such_a_word_in_another_sense_is_tumor(tmp_path, name):
    assert is_tumor(tmp_path, name)


def test_categories_are_listed_and_those_that_are_no_tumor_do_not_count(tmp_path):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    path = tmp_path / "_annotations.coco.json"
    coco(path, ["a.png", "b.png"])
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 1, "name": "Glioma"}, {"id": 2, "name": "No_Tumor"}, {"id": 3, "name": "other"}]
    document["annotations"][1]["category_id"] = 2
    path.write_text(json.dumps(document))
    report = check(tmp_path)
    found = [(category.name, category.annotations, category.is_tumor) for category in report.categories]
    assert found == [("Glioma", 1, True), ("No_Tumor", 1, False), ("other", 0, True)]
    assert [case.truth().any() for case in list_cases(tmp_path)] == [True, False]
