"""One running portal, a Chromium, and a page whose console must stay silent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from ml.synthetic import phantoms
from tests.browser.portals import FAST
from tests.support.browsers import Chromium
from tests.support.portal_process import RunningPortal, running_portal

# Reported to the console too, but with the directive: which one was it.
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));"""
TIMEOUT_MS = 15_000


@dataclass
class Console:
    """What the pages of a context complained about. `expected`: words of complaints that the test provokes."""

    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.location.get('url')}: {message.text}")

    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not any(words in text for words in self.expected)]


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """One portal for all these tests; they tell their scans apart by their names."""
    with running_portal(tmp_path_factory.mktemp("browser"), **FAST) as portal:
        yield portal


@pytest.fixture(scope="session")
def lesion_id(portal: RunningPortal) -> str:
    """A finished slice with a lesion."""
    return str(portal.wait(portal.upload(phantoms.render("lesion"), "kept-lesion.png")["id"])["id"])


@pytest.fixture(scope="session")
def stack_id(portal: RunningPortal) -> str:
    """A finished stack of twelve slices."""
    return str(portal.wait(portal.upload(phantoms.render("stack"), "kept-stack.tif")["id"])["id"])


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def context(chromium: Chromium, portal: RunningPortal, console: Console) -> Iterator[BrowserContext]:
    """A browser without history; at its end nothing may have been complained about."""
    context = chromium.new_context(
        base_url=portal.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(REPORT_VIOLATIONS)
    context.on("page", console.follow)
    # Caught from the start: a wait alone asks for it beside the key that opens it, and may come too late.
    context.on("page", lambda page: page.on("filechooser", lambda chooser: None))
    yield context
    chromium.close_context(context)
    assert console.unexpected() == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def plain_page(chromium: Chromium, portal: RunningPortal) -> Iterator[Page]:
    """A page without JavaScript."""
    context = chromium.new_context(base_url=portal.url, java_script_enabled=False)
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    chromium.close_context(context)


@pytest.fixture
def slice_file(request: pytest.FixtureRequest) -> bytes:
    """A phantom's slice, or (parameter `real`) the slice of a real scan with most tumor."""
    if getattr(request, "param", "phantom") == "phantom":
        return phantoms.render("lesion")
    folder: Path = request.getfixturevalue("real_data") / "lgg" / "TCGA_HT_7602_19951103"
    masks = {path: sum(Image.open(path).convert("L").histogram()[1:]) for path in folder.glob("*_mask.png")}
    most = max(masks, key=lambda path: masks[path])
    return most.with_name(most.name.replace("_mask.png", ".webp")).read_bytes()
