"""A real Chromium for tests and for the documentation's pictures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

# No sandbox: as root Chromium does not start with one. The rest keeps it from the network and from a missing GPU; WebGL
# is drawn by the processor.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """No Chromium is installed; the message says what to do."""


@contextmanager
def chromium_browser() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own. Raises NoBrowser.

    One at a time in a process: Playwright's synchronous interface runs in one loop.
    """
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
        if not Path(path).exists():
            raise NoBrowser("no Chromium: install the package chromium, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
