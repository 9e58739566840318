"""The class of each pixel: with and without class values, of every kind of mask."""

import numpy as np
import pytest
from PIL import Image

from ml.datasets import Case, DatasetError, list_cases


@pytest.fixture
def case(tmp_path):
    """A slice of 16 x 16 pixels, its mask to be written by the test, column by column."""
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    return Case("anna", tmp_path / "a.png", tmp_path / "a_mask.png")


def write(case, values, dtype=np.uint8):
    """Each of four values in four columns."""
    Image.fromarray(np.tile(np.repeat(np.array(values, dtype=dtype), 4), (16, 1))).save(case.mask)


def columns(labels):
    assert labels.shape == (16, 16)
    assert (labels == labels[:1]).all()
    return labels[0, ::4].tolist()


def test_without_class_values_whatever_is_not_0_is_1(case):
    write(case, [0, 7, 128, 255])
    labels = case.labels()
    assert labels.dtype == np.uint8
    assert columns(labels) == [0, 1, 1, 1]


def test_with_class_values_a_pixel_has_its_values_place(case):
    write(case, [0, 1, 2, 4])
    assert columns(case.labels((0, 1, 2, 4))) == [0, 1, 2, 3]
    assert columns(case.labels((4, 2, 1, 0))) == [3, 2, 1, 0]


def test_masks_of_one_bit_have_the_values_0_and_255(case):
    write(case, [False, True, True, False], bool)
    assert columns(case.labels((0, 255))) == [0, 1, 1, 0]


def test_value_that_is_no_class_is_named_with_its_file(case):
    write(case, [0, 1, 2, 3])
    with pytest.raises(DatasetError, match=r"anna/a_mask\.png has the value 3, which is none of the classes 0, 1, 2"):
        case.labels((0, 1, 2))


def test_damaged_mask_is_named(case):
    case.mask.write_bytes(b"nothing")
    for values in (None, (0, 1, 2)):
        with pytest.raises(DatasetError, match=r"anna/a_mask\.png cannot be read"):
            case.labels(values)


def test_outlines_are_one_class_and_no_mask_is_none(case, coco_folder):
    with_outline, empty = list_cases(coco_folder)
    assert with_outline.labels((0, 255)).sum() == 100
    assert not empty.labels((0, 255)).any()
    bare = Case("anna", case.image, None)
    assert columns(bare.labels()) == columns(bare.labels((0, 255))) == [0] * 4
