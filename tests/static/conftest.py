"""A page of the real Chromium that loads the project's ES modules from a made-up address: no server is needed."""

import mimetypes
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from tests.support.browsers import Chromium

STATIC = Path(__file__).resolve().parents[2] / "static"
ORIGIN = "http://static.test"


def answer(route: Route) -> None:
    """A file of `static/`, else an empty page."""
    path = STATIC / route.request.url.removeprefix(f"{ORIGIN}/")
    if path.is_file():
        route.fulfill(body=path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0])
    else:
        route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")


@pytest.fixture(scope="session")
def module_pages(chromium: Chromium) -> Iterator[list[Page]]:
    """The page of all tests, the last one: another follows where the browser had to be ended."""
    pages: list[Page] = []
    yield pages
    for page in pages:
        if not page.is_closed():
            chromium.close_context(page.context)


@pytest.fixture
def module_page(chromium: Chromium, module_pages: list[Page]) -> Page:
    """A page whose origin serves `static/`, loaded anew: no module remembers another test. A process for each takes
    longer than most of them."""
    if not module_pages or module_pages[-1].is_closed():
        page = chromium.new_page()
        page.route(f"{ORIGIN}/**", answer)
        module_pages.append(page)
    module_pages[-1].goto(f"{ORIGIN}/page")
    return module_pages[-1]
