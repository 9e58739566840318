"""What a person does on the pages, where it takes more than one step."""

import base64
import time
from collections.abc import Callable, Mapping

from playwright.sync_api import Locator, Page

TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of Object.entries(files)) {
    transfer.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name));
  }
  return transfer;
}"""


def drop_files(page: Page, files: Mapping[str, bytes]) -> None:
    """Drag files over the page and let them go on its heading, outside of the drop zone: the whole page takes them."""
    transfer = page.evaluate_handle(TRANSFER, {name: base64.b64encode(data).decode() for name, data in files.items()})
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    page.wait_for_selector("#drop-veil:not([hidden])")
    page.dispatch_event("#recent-title", "drop", {"dataTransfer": transfer})


def card(page: Page, name: str, state: str = "") -> Locator:
    """The card of a file, once it has that state."""
    selector = f'.card[data-state="{state}"]' if state else ".card"
    found = page.locator(selector).filter(has=page.locator(".card-name").get_by_role("link", name=name, exact=True))
    found.wait_for()
    return found


def open_result(page: Page, scan_id: str, query: str = "") -> None:
    """The result page, drawn."""
    page.goto(f"/scans/{scan_id}{query}")
    page.wait_for_selector("#viewer[data-drawn]")


def picture(page: Page, layer: str) -> str:
    """What a panel's canvas shows, as a data URL."""
    return str(page.evaluate("(layer) => document.querySelector(`[data-layer=${layer}] canvas`).toDataURL()", layer))


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait in this process: the pages' CSP forbids Playwright's wait_for_function."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.03)


def fact(page: Page, name: str) -> str:
    """A figure of the finding as it is shown."""
    return page.locator(f'[data-fact="{name}"]').inner_text().replace("\u00a0", " ")
