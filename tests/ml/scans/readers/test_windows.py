"""Which intensities become 0 and 255: by samples that hold every channel, and of stacks that are nearly all air."""

import numpy as np
import pytest

from ml.scans.readers.head_window import HeadWindowFinder
from ml.scans.readers.intensity import PERCENTILES, SAMPLE_SIZE, WindowFinder


@pytest.mark.parametrize("pages", [1, 20, 50, 64, 200])
def test_every_channel_of_a_large_stack_in_color_is_sampled(pages: int) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None, :].repeat(256, axis=0)  # (256, 256)
    page = np.stack([ramp, 100 * ramp, 10 * ramp], axis=2)  # a step that is a multiple of 3 meets the first alone
    finder = WindowFinder(pages)
    for _ in range(pages):
        finder.add(page)
    low, high = np.percentile(page, PERCENTILES)
    found = finder.window()
    assert (found.low, found.high) == (pytest.approx(low, abs=2), pytest.approx(high, rel=0.02))
    assert finder.sample().size <= SAMPLE_SIZE + 3 * pages


def test_a_gray_page_is_sampled_at_even_steps_as_ever() -> None:
    finder = WindowFinder(2)
    pages = np.arange(2 * 1536 * 2048).reshape(2, 1536, 2048)
    for page in pages:
        finder.add(page)
    assert finder.sample().tolist() == list(range(0, pages.size, 2))


def test_a_stack_with_a_few_bright_voxels_that_no_sample_meets_has_a_window() -> None:
    finder = HeadWindowFinder(100)
    for index in range(100):
        page = np.zeros((256, 256), np.uint8)
        if index == 50:
            page[100, 101:111:2] = 1  # samples are every second voxel, from the first on
        finder.add(page)
    window = finder.head_window()
    assert window.apply(np.array([[0, 1]])).tolist() == [[0, 60]]


@pytest.mark.parametrize("padding", [-32768, -1024])
def test_what_was_not_imaged_does_not_scale_the_head(padding: int) -> None:
    rows, columns = np.mgrid[:128, :128]
    head = np.where((rows - 64) ** 2 + (columns - 64) ** 2 < 2500, 200 + rows, rows % 7)
    head[64, 64] = 2000
    plain, padded = HeadWindowFinder(1), HeadWindowFinder(1)
    plain.add(head)
    padded.add(np.where(columns < 12, padding, head))
    assert padded.head_window() == plain.head_window()
    assert padded.head_window().apply(np.array([[padding]])).tolist() == [[0]]


def test_negative_values_next_to_the_others_count_as_they_are() -> None:
    finder = HeadWindowFinder(1)
    finder.add(np.linspace(-30, 500, 10_000).reshape(100, 100))
    assert finder.head_window().low == pytest.approx(-30 + 0.005 * 530, abs=1)
