"""Logging in, one's account, the administrators' pages, what a viewer sees, and the public demonstration."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import delete

from ml.synthetic import phantoms
from tests.browser.actions import drop_files
from tests.browser.conftest import REPORT_VIOLATIONS, TIMEOUT_MS, Console
from tests.browser.test_accessibility import findings
from tests.support.browsers import Chromium
from tests.webapp import clients
from tests.webapp.servers import WebServer, web_server
from webapp.domain.accounts import users
from webapp.domain.accounts.models import LoginSession, Role
from webapp.domain.settings import PROJECT_ROOT

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery"
NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def users_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A portal with users, whose first administrator is made by command. The tests do its jobs."""
    folder = tmp_path_factory.mktemp("users")
    instance = {"GLIOSCOPE_INSTANCE": str(folder / "instance")}
    for words, typed in ((["migrate"], ""), (["users", "create", "root", "--role", "admin"], f"{PASSWORD}\n")):
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *words]
        subprocess.run(
            command, cwd=PROJECT_ROOT, env={**os.environ, **instance}, input=typed.encode(), check=True,
            capture_output=True,
        )  # fmt: skip
    with web_server(folder, GLIOSCOPE_AUTH="password") as server:
        with server.resources.database.write() as session:
            for name, role in (("vera", Role.RESEARCHER), ("ruth", Role.RESEARCHER)):
                users.create(session, name, PASSWORD, role)
        yield server


@pytest.fixture(scope="module")
def demo_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("demo"), GLIOSCOPE_AUTH="demo") as server:
        yield server


@pytest.fixture
def new_context(chromium: Chromium, console: Console) -> Iterator[NewContext]:
    """Browsers without history, over any portal; at the end nothing may have been complained about."""
    # Nobody does jobs here but the tests.
    console.expected += ["/readyz"]
    contexts = []

    def make(server: WebServer) -> BrowserContext:
        context = chromium.new_context(
            base_url=f"http://127.0.0.1:{server.port}", viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
        )
        context.set_default_timeout(TIMEOUT_MS)
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("page", console.follow)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        chromium.close_context(context)
    assert console.unexpected() == []


def shot(page: Page, name: str) -> None:
    """Pictures to look at, wide and on a phone, where a folder for them is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        for width, height in ((1440, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def upload(page: Page, server: WebServer, name: str) -> None:
    """Drop a file, wait for its card, and do its job."""
    page.goto("/")
    drop_files(page, {name: phantoms.render("lesion")})
    card = page.locator('.card[data-state="queued"]').filter(has_text=name)
    card.wait_for()
    clients.finish(server.resources, card.get_attribute("data-segmentation"))


def test_a_person_logs_in_changes_the_password_and_makes_a_token(
    users_portal: WebServer, new_context: NewContext, console: Console
) -> None:
    console.expected += ["status of 401", "status of 422"]
    page = new_context(users_portal).new_page()
    page.goto("/scans?q=a")
    expect(page).to_have_url(f"http://127.0.0.1:{users_portal.port}/login?next=/scans?q%3Da")
    assert findings(page) == []
    shot(page, "login")
    log_in(page, "ruth", "not the password")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    assert findings(page) == []
    shot(page, "login-wrong")
    log_in(page, "ruth")
    expect(page.locator("h1")).to_have_text("History")
    page.get_by_role("link", name="ruth", exact=True).click()
    page.get_by_label("What it is for").fill("a script")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("code.break").inner_text()
    assert findings(page) == []
    # The last size that was looked at is a phone's: the token takes two lines there.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "account-token")
    answer = page.context.browser.new_context().request.get(
        f"http://127.0.0.1:{users_portal.port}/api/v1/scans", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status == 200
    page.get_by_label("Old password").fill("not the password")
    page.get_by_label("New password, at least").fill("another long password")
    page.get_by_label("New password again").fill("another long password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_have_text("The old password is wrong.")
    page.get_by_label("Old password").fill(PASSWORD)
    page.get_by_label("New password, at least").fill("another long password")
    page.get_by_label("New password again").fill("another long password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("every other browser is logged out")).to_be_visible()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("The token is revoked.")).to_be_visible()
    assert findings(page) == []
    shot(page, "account")
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("Log in")
    log_in(page, "ruth", "another long password")
    expect(page.get_by_role("link", name="ruth", exact=True)).to_be_visible()


def test_files_dropped_after_the_session_is_over_are_sent_once_somebody_logged_in_again(
    users_portal: WebServer, new_context: NewContext, console: Console
) -> None:
    console.expected += ["status of 401"]
    with users_portal.resources.database.write() as session:
        users.create(session, "lena", PASSWORD, Role.RESEARCHER)
    context = new_context(users_portal)
    page = context.new_page()
    page.goto("/")
    log_in(page, "lena")
    expect(page.get_by_role("link", name="lena", exact=True)).to_be_visible()
    with users_portal.resources.database.write() as session:
        session.execute(delete(LoginSession))
    drop_files(page, {"late.png": phantoms.render("lesion")})
    failed = page.locator('.card[data-state="failed"]').filter(has_text="late.png")
    expect(failed).to_contain_text("You are not logged in any more. Log in again in another tab")
    other = context.new_page()
    other.goto("/login")
    log_in(other, "lena")
    expect(other.get_by_role("link", name="lena", exact=True)).to_be_visible()
    failed.get_by_role("button", name="Try again").click()
    page.locator('.card[data-state="queued"]').filter(has_text="late.png").wait_for()


def test_a_person_sets_up_a_second_factor_and_logs_in_with_it(
    users_portal: WebServer, new_context: NewContext, console: Console
) -> None:
    console.expected += ["status of 401", "status of 422"]
    with users_portal.resources.database.write() as session:
        users.create(session, "mona", PASSWORD, Role.RESEARCHER)
    page = new_context(users_portal).new_page()
    page.goto("/account")
    log_in(page, "mona")
    page.get_by_role("link", name="Set it up").click()
    expect(page.locator("h1")).to_have_text("Second factor")
    shot(page, "factor-off")
    page.get_by_role("button", name="Set it up").click()
    page.locator(".secret").wait_for()
    authenticator = pyotp.TOTP("".join(page.locator(".secret span").all_inner_texts()))
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_label("The six digits").fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    assert findings(page) == []
    shot(page, "factor-setting-up")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_label("The six digits").fill(authenticator.now())
    page.get_by_label("The six digits").press("Enter")
    expect(page.locator(".recovery-codes code")).to_have_count(10)
    codes = page.locator(".recovery-codes code").all_inner_texts()
    assert findings(page) == []
    shot(page, "factor-codes")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    page.get_by_role("link", name="Change it").click()
    expect(page.locator("h1")).to_have_text("Second factor")
    assert findings(page) == []
    shot(page, "factor-on")
    page.get_by_role("button", name="Log out").click()
    log_in(page, "mona")
    expect(page.get_by_label("The six digits")).to_be_focused()
    assert findings(page) == []
    # The last code was taken; the next one is good already, as clocks may differ.
    page.get_by_label("The six digits").fill(authenticator.at(time.time() + 30))
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="mona", exact=True)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "mona")
    page.get_by_text("The authenticator is not at hand").click()
    shot(page, "factor-code")
    page.get_by_label("One of your recovery codes").fill(codes[0])
    page.get_by_role("button", name="Log in with it").click()
    expect(page.get_by_text("You used a recovery code")).to_be_visible()


def test_an_administrator_makes_and_changes_users_and_reads_the_log(
    users_portal: WebServer, new_context: NewContext, console: Console
) -> None:
    console.expected += ["status of 409"]
    page = new_context(users_portal).new_page()
    nora = "nora.with-a-long-name+glioscope@neuro-oncology.department.hospital.example.org"
    page.goto("/login")
    log_in(page, "root")
    page.get_by_role("link", name="Admin").click()
    page.get_by_label("Name of a new user").fill(nora)
    page.get_by_label("First password").fill(PASSWORD)
    page.get_by_role("button", name="Make the user").click()
    expect(page.get_by_text("The user is made.")).to_be_visible()
    page.locator("summary", has_text="nora").click()
    page.get_by_label(f"Role of {nora}").select_option("researcher")
    page.locator("details", has_text="nora").get_by_role("button", name="Change the role").click()
    expect(page.locator("summary", has_text="nora")).to_contain_text("researcher")
    page.locator("summary", has_text="root").click()
    page.locator("details", has_text="root").get_by_role("button", name="Disable").click()
    expect(page.get_by_role("alert")).to_contain_text("This is the last administrator")
    page.locator("summary", has_text="nora").click()
    assert findings(page) == []
    shot(page, "admin")
    page.get_by_role("link", name="The audit log").click()
    expect(page.get_by_text("login").first).to_be_visible()
    assert findings(page) == []
    shot(page, "audit")
    page.get_by_role("button", name="Log out").click()
    log_in(page, nora)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("link", name=nora)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    shot(page, "long-name")


def test_a_viewer_sees_results_and_no_button_that_is_refused(users_portal: WebServer, new_context: NewContext) -> None:
    page = new_context(users_portal).new_page()
    page.goto("/login")
    log_in(page, "vera")
    upload(page, users_portal, "vera.png")
    with users_portal.resources.database.write() as session:
        users.set_role(session, users.named(session, "vera"), Role.VIEWER)
    page.goto("/")
    expect(page.locator("#drop, .samples")).to_have_count(0)
    expect(page.get_by_text("Tumor detected").or_(page.get_by_text("vera.png")).first).to_be_visible()
    assert findings(page) == []
    shot(page, "viewer-portal")
    page.get_by_role("link", name="vera.png").first.click()
    page.wait_for_selector("#viewer[data-drawn]")
    page.locator("#threshold").fill("0.9")
    expect(page.locator("#preview-bar")).to_be_visible()
    expect(page.locator("#save-threshold, .again, #truth-form, #spacing, #main .button.danger")).to_have_count(0)
    assert findings(page) == []
    shot(page, "viewer-result")
    page.goto("/scans")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)
    page.keyboard.press("Delete")
    shot(page, "viewer-history")
    with page.expect_download() as download:
        page.get_by_role("button", name="Masks").click()
    assert download.value.suggested_filename.endswith(".zip")


def test_two_browsers_try_the_demonstration(demo_portal: WebServer, new_context: NewContext, console: Console) -> None:
    console.expected += ["status of 404", "status of 415", "status of 403"]
    first, second = new_context(demo_portal).new_page(), new_context(demo_portal).new_page()
    second.goto("/")
    upload(first, demo_portal, "mine.png")
    drop_files(first, {"head.dcm": b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0" + b"\0" * 400})
    expect(first.locator('.card[data-state="rejected"]')).to_contain_text("This demonstration takes pictures alone")
    assert findings(first) == []
    shot(first, "demo-portal")
    first.goto("/scans")
    first.get_by_role("link", name="mine.png").first.click()
    first.wait_for_selector("#viewer[data-drawn]")
    expect(first.locator("#goes")).to_have_text("Gone in 1 hour")
    assert findings(first) == []
    shot(first, "demo-result")
    second.goto(first.url)
    expect(second.get_by_text("There is no such scan.")).to_be_visible()
    expect(second.locator("#demo-note")).to_contain_text("Only this browser sees your scans")
    # Cookies that are thrown away, or never kept: a sentence, and nothing stored.
    second.goto("/")
    second.context.clear_cookies()
    drop_files(second, {"theirs.png": phantoms.render("lesion")})
    expect(second.locator('.card[data-state="rejected"]')).to_contain_text("allow cookies for this site")
