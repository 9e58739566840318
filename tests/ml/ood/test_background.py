"""Pictures that do not show their subject on a dark ground: photographs, charts, screens."""

import numpy as np
import pytest

from ml.measurements import Verdict, verdict_of
from ml.ood.background import BRIGHT_BACKGROUND, has_bright_background
from ml.ood.detector import UNLIKE
from ml.ood.sequences import NOT_FLAIR, PLAINLY_NOT_FLAIR, SequenceEvidence
from ml.ood.warnings import input_warnings, warnings_of


def picture(inside: int, margin: int, height: int = 100, width: int = 120) -> np.ndarray:
    """Of one gray level, with a margin of 4 pixels of another."""
    pixels = np.full((height, width, 3), margin, np.uint8)
    pixels[4:-4, 4:-4] = inside
    return pixels


def test_a_head_on_a_dark_ground_is_told_from_what_fills_its_frame_or_lies_on_paper() -> None:
    head, photograph, chart = picture(180, 47), picture(180, 180), picture(0, 255)
    assert has_bright_background(np.stack([head, photograph, chart])).tolist() == [False, True, True]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_color_counts_as_light(channel: int) -> None:
    pixels = picture(0, 0)
    pixels[..., channel] = 48
    assert has_bright_background(pixels[None]).tolist() == [True]


def test_a_brain_that_is_cropped_at_two_sides_still_has_a_dark_ground() -> None:
    pixels = picture(180, 0)
    pixels[:4], pixels[:, :4] = 180, 180
    assert has_bright_background(pixels[None]).tolist() == [False]


def test_a_photograph_in_a_black_frame_is_one_all_the_same_and_a_head_stays_one() -> None:
    framed = np.pad(picture(180, 180), ((30, 50), (20, 70), (0, 0)))
    rows, columns = np.mgrid[-60:60, -60:60]
    head = np.where((rows / 50) ** 2 + (columns / 40) ** 2 < 1, 180, 0).astype(np.uint8)
    assert has_bright_background(framed[None]).tolist() == [True]
    assert has_bright_background(np.repeat(head[None, ..., None], 3, axis=3)).tolist() == [False]


def test_what_is_black_but_for_a_speck_has_no_frame() -> None:
    speck = np.zeros((100, 100, 3), np.uint8)
    speck[40:50, 40:50] = 200
    assert has_bright_background(speck[None]).tolist() == [False]


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (16, 16)])
def test_the_smallest_picture_has_a_margin(size: tuple[int, int]) -> None:
    assert has_bright_background(np.full((1, *size, 3), 200, np.uint8)).tolist() == [True]


@pytest.mark.parametrize(
    ("is_unlike", "is_bright", "codes"),
    [
        ([True], [True], (UNLIKE, BRIGHT_BACKGROUND)),
        ([True], [False], (UNLIKE,)),
        ([True, True, False], [True, True, False], (UNLIKE, BRIGHT_BACKGROUND)),
        ([True, True, True], [True, False, False], (UNLIKE,)),
        ([True, False], [True, False], ()),
    ],
)
def test_more_than_half_of_a_scan_has_to_be_so(is_unlike: list[bool], is_bright: list[bool], codes) -> None:
    assert warnings_of(np.array(is_unlike), None, None, np.array(is_bright)) == codes


def test_what_shows_no_head_has_no_look_of_a_sequence_and_its_file_is_believed() -> None:
    looks_like_t1 = SequenceEvidence(np.array([[9.0, np.nan]], np.float32), (3.0, 3.0), (1.0, 1.0))
    assert input_warnings(looks_like_t1, None, is_bright=True) == (BRIGHT_BACKGROUND,)
    assert input_warnings(looks_like_t1, False, is_bright=True) == (BRIGHT_BACKGROUND, NOT_FLAIR, PLAINLY_NOT_FLAIR)


@pytest.mark.parametrize(("has_tumor", "has_doubt"), [(True, True), (False, True), (False, False)])
def test_there_is_no_verdict_on_such_a_picture(has_tumor: bool, has_doubt: bool) -> None:
    found = verdict_of(has_tumor=has_tumor, has_doubt=has_doubt, warnings=(UNLIKE, BRIGHT_BACKGROUND))
    assert found is Verdict.NOT_ASSESSED
