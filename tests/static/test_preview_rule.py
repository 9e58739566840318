"""The browser's preview and the server apply one mask rule and one color table, pixel by pixel."""

import base64

import numpy as np
import pytest
from playwright.sync_api import Page
from scipy import ndimage

from ml.cards import DepthRule, DoubtRule
from ml.masks import MaskRule, apply_rule, threshold_level, tumor_mask
from ml.measurements import measure
from ml.rendering.colormap import INFERNO

pytestmark = pytest.mark.browser

PREVIEW = """async ({ q, width, height, threshold, minPixels }) => {
  const { tumorMask } = await import("/js/viewer/mask.js");
  const bytes = Uint8Array.from(atob(q), (letter) => letter.charCodeAt(0));
  return Array.from(tumorMask(bytes, width, height, threshold, minPixels));
}"""


def preview(page: Page, q: np.ndarray, threshold: float, min_pixels: int) -> np.ndarray:
    height, width = q.shape
    given = {
        "q": base64.b64encode(q.tobytes()).decode(),
        "width": width,
        "height": height,
        "threshold": threshold,
        "minPixels": min_pixels,
    }
    return np.array(page.evaluate(PREVIEW, given), dtype=bool).reshape(height, width)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.2, 0.5, 0.62, 0.99, 1.0])
@pytest.mark.parametrize("min_pixels", [0, 1, 2, 30])
def test_the_preview_marks_the_same_pixels_as_the_server(module_page: Page, threshold: float, min_pixels: int) -> None:
    noise = np.random.default_rng(7).random(
        (61, 83)
    )  # odd and unequal sides: rows and columns cannot be swapped unseen
    smooth = ndimage.gaussian_filter(noise, 2)
    q = np.round(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)

    shown = preview(module_page, q, threshold, min_pixels)

    assert np.array_equal(shown, tumor_mask(q[None], threshold, min_pixels)[0])


def test_components_join_over_corners_and_stop_at_the_edges(module_page: Page) -> None:
    q = np.zeros((8, 8), np.uint8)
    q[[0, 1, 2], [5, 6, 7]] = 255  # a diagonal that ends at the right edge
    q[3, 0] = 255  # the next pixel in memory, but not a neighbor

    shown = preview(module_page, q, 0.5, 3)

    assert np.array_equal(shown, tumor_mask(q[None], 0.5, 3)[0])
    assert shown.sum() == 3


def test_every_threshold_of_the_slider_has_the_servers_level(module_page: Page) -> None:
    thresholds = [step / 1000 for step in range(1001)] + [level / 255 for level in range(256)]

    levels = module_page.evaluate(
        "async (all) => (({ thresholdLevel }) => all.map(thresholdLevel))(await import('/js/viewer/mask.js'))",
        thresholds,
    )

    assert levels == [threshold_level(threshold) for threshold in thresholds]


def test_the_heatmap_has_the_servers_colors(module_page: Page) -> None:
    colors = module_page.evaluate(
        "async () => Array.from((await import('/js/viewer/colormap.js')).inferno)",
    )

    assert np.array_equal(np.array(colors, np.uint8).reshape(256, 3), INFERNO)


DOUBT = """async ({ q, width, height, threshold, minPixels, rule, dropped }) => {
  const { doubtOf, tumorMask, uncountedOf } = await import("/js/viewer/mask.js");
  const bytes = Uint8Array.from(atob(q), (letter) => letter.charCodeAt(0));
  const tumor = tumorMask(bytes, width, height, threshold, minPixels, dropped);
  const doubt = doubtOf(bytes, width, height, tumor, threshold, rule);
  const uncounted = uncountedOf(bytes, tumor, doubt.mask, threshold);
  return { ...doubt, mask: Array.from(doubt.mask), tumor: Array.from(tumor), uncounted: Array.from(uncounted) };
}"""


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.62, 0.9])
@pytest.mark.parametrize(("doubt_threshold", "doubt_pixels"), [(0.4, 1), (0.4, 6), (0.2, 40)])
def test_the_preview_has_the_servers_regions_in_doubt(
    module_page: Page, threshold: float, doubt_threshold: float, doubt_pixels: int
) -> None:
    noise = np.random.default_rng(8).random((3, 61, 83))
    smooth = ndimage.gaussian_filter(noise, (0.7, 2, 2))
    q = np.round(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    rule = MaskRule(threshold, 20, DoubtRule(doubt_threshold, doubt_pixels), DepthRule(0.3))
    masks = apply_rule(q, rule, is_stack=True)
    for index in range(3):
        shown = module_page.evaluate(
            DOUBT,
            {
                "q": base64.b64encode(q[index].tobytes()).decode(),
                "width": 83,
                "height": 61,
                "threshold": threshold,
                "minPixels": 20,
                "rule": {"threshold": doubt_threshold, "minPixels": doubt_pixels},
                "dropped": masks.dropped[index],
            },
        )
        assert np.array_equal(np.array(shown["tumor"], bool).reshape(61, 83), masks.tumor[index])
        assert np.array_equal(np.array(shown["mask"], bool).reshape(61, 83), masks.doubtful[index])
        assert np.array_equal(np.array(shown["uncounted"], bool).reshape(61, 83), masks.uncounted[index])
        found = measure(q[[index]], masks.of_slice(index), None).doubt
        told = None if found is None else (found.regions, found.pixels, round(255 * found.max_probability))
        assert (shown["regions"], shown["pixels"], shown["maxLevel"]) == (told or (0, 0, 0))
    assert threshold != 0.62 or any(masks.dropped)
    assert threshold != 0.62 or masks.uncounted.any()
