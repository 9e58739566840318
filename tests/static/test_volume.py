"""The voxels of the planes: a channel that did not come is asked for again."""

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SHOW_TWICE = """async () => {
  const { Volume } = await import("/js/viewer/planes/volume.js");
  const volume = new Volume({ voxels: 2 }, { scanId: "a", segmentationId: "b", hasTruth: false });
  let answers = 0;
  window.fetch = async () => (++answers > 1 ? new Response(Uint8Array.of(1, 2)) : new Response("{}", { status: 503 }));
  const failed = await volume.show(1).then(() => false, () => true);
  return [failed, await volume.show(1), volume.channel, Array.from(volume.gray)];
}"""


def test_a_channel_that_did_not_come_is_asked_for_again(module_page: Page) -> None:
    assert module_page.evaluate(SHOW_TWICE) == [True, True, 1, [1, 2]]
