"""Tests share a browser's context; none may see what another one's pages left in it."""

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LEAVE = """async () => {
  document.cookie = "left=behind; path=/";
  localStorage.setItem("left", "behind");
  sessionStorage.setItem("left", "behind");
  await new Promise((done) => { indexedDB.open("left").onsuccess = done; });
  await caches.open("left");
}"""
LOOK = """async () => [
  document.cookie, localStorage.length, sessionStorage.length, (await indexedDB.databases()).length,
  (await caches.keys()).length,
]"""


def from_disk(response: dict[str, Any]) -> list[str]:
    """The address of an answer that was kept on the disk."""
    return [response["url"]] if response["fromDiskCache"] else []


@pytest.mark.parametrize("visit", ["first", "second"])
def test_a_visit_begins_without_what_another_one_left(page: Page, visit: str) -> None:
    assert page.context.cookies() == []
    kept: list[str] = []
    devtools = page.context.new_cdp_session(page)
    devtools.on("Network.requestServedFromCache", lambda event: kept.append(event["requestId"]))
    devtools.on("Network.responseReceived", lambda event: kept.extend(from_disk(event["response"])))
    devtools.send("Network.enable")
    page.goto("/help")
    assert kept == []
    assert page.evaluate(LOOK) == ["", 0, 0, 0, 0]
    page.goto("/models")
    assert kept, "stylesheets and scripts may be kept"
    page.evaluate(LEAVE)
    assert page.evaluate(LOOK) == ["left=behind", 1, 1, 1, 1]
    page.context.new_page().goto("/")
    assert len(page.context.pages) == 3, "the page that keeps the process, and two of this visit"
