"""A real Chromium, and a page that loads the project's ES modules from a made-up address: no server is needed."""

import mimetypes
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

STATIC = Path(__file__).resolve().parents[2] / "static"
ORIGIN = "http://static.test"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The system's browser where there is one, else Playwright's own.
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def module_page(chromium: Browser) -> Iterator[Page]:
    """An empty page whose origin serves `static/`."""

    def answer(route: Route) -> None:
        path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
        if path.is_file():
            route.fulfill(body=path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0])
        else:
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")

    page = chromium.new_page()
    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/page")
    yield page
    page.close()
