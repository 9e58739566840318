"""A real Chromium for tests and for the documentation's pictures."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, sync_playwright

# No sandbox: as root Chromium does not start with one. The rest keeps it from the network and from a missing GPU; WebGL
# is drawn by the processor.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--no-first-run",
)
# A context closes within a second, but once in some thousand tests Chromium never answers that it has.
CLOSE_S = 30.0
NAMES = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """No Chromium is installed; the message says what to do."""


class Chromium:
    """A Chromium that is started again where it had to be ended."""

    def __init__(self, playwright: Playwright, path: str) -> None:
        self._playwright, self._path = playwright, path
        self._browser = self._start()

    def _start(self) -> Browser:
        return self._playwright.chromium.launch(executable_path=self._path, args=ARGUMENTS)

    def new_context(self, **options: Any) -> BrowserContext:
        """As Playwright's `Browser.new_context`."""
        if not self._browser.is_connected():
            self._browser = self._start()
        return self._browser.new_context(**options)

    def new_page(self, **options: Any) -> Page:
        """A page in a context of its own."""
        return self.new_context(**options).new_page()

    def close_context(self, context: BrowserContext, *, within_s: float = CLOSE_S) -> None:
        """Close a context; where that takes longer, end the browser, and with it the context."""
        watch = threading.Timer(within_s, self.kill)
        watch.start()
        try:
            with suppress(Error):  # ended meanwhile
                context.close()
        finally:
            watch.cancel()

    def processes(self) -> list[psutil.Process]:
        """Those of the browser, which is the only one of this process."""
        return [item for item in psutil.Process().children(recursive=True) if item.name().startswith("chrom")]

    def kill(self) -> None:
        """End it at once."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()

    def close(self) -> None:
        """End it."""
        self._browser.close()


@contextmanager
def chromium_browser() -> Iterator[Chromium]:
    """The system's Chromium, else Playwright's own. Raises NoBrowser.

    One at a time in a process: Playwright's synchronous interface runs in one loop.
    """
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
        if not Path(path).exists():
            raise NoBrowser("no Chromium: install the package chromium, or run `playwright install chromium`")
        chromium = Chromium(playwright, path)
        try:
            yield chromium
        finally:
            chromium.close()
