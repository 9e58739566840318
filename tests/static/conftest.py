"""A page of the real Chromium that loads the project's ES modules from a made-up address: no server is needed."""

import mimetypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

STATIC = Path(__file__).resolve().parents[2] / "static"
ORIGIN = "http://static.test"


@pytest.fixture(scope="session")
def module_origin(chromium: Browser) -> Iterator[Page]:
    """A page whose origin serves `static/`."""

    def answer(route: Route) -> None:
        path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
        if path.is_file():
            route.fulfill(body=path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0])
        else:
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")

    page = chromium.new_page()
    page.route(f"{ORIGIN}/**", answer)
    yield page
    page.close()


@pytest.fixture
def module_page(module_origin: Page) -> Page:
    """The page, loaded anew: no module remembers another test. A process for each takes longer than most of them."""
    module_origin.goto(f"{ORIGIN}/page")
    return module_origin
