"""The worker away, a failed job, the server out of reach: the pages say so, and go on."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import card, drop_files, open_result
from tests.browser.conftest import Console
from tests.browser.portals import REASON, add_failed, worker_away, worker_stopped
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser

SOON_MS = 20_000


def test_without_a_worker_uploads_wait_in_line_and_go_on_when_it_is_back(
    page: Page, context: BrowserContext, portal: RunningPortal, console: Console
) -> None:
    console.expected = ["/readyz: Failed to load resource"]
    with worker_away(portal):
        page.goto("/")
        expect(page.locator("#worker-state")).to_have_text("No worker")
        expect(page.locator("#no-worker")).to_contain_text("No worker is running.")

        drop_files(page, {"wait-1.png": phantoms.render("lesion")})
        expect(card(page, "wait-1.png", "queued")).to_contain_text("First in line")
        drop_files(page, {"wait-2.png": phantoms.render("clear")})
        expect(card(page, "wait-2.png", "queued")).to_contain_text("Second in line")
        result = context.new_page()
        result.goto(f"/scans/{card(page, 'wait-2.png').get_attribute('data-scan')}")
        expect(result.locator("#pending")).to_contain_text("Second in line")
        expect(result.locator("#pending")).to_contain_text("It waits for a worker; none is running now.")

    expect(card(page, "wait-1.png", "succeeded")).to_contain_text("Tumor detected")
    expect(card(page, "wait-2.png", "succeeded")).to_contain_text("No tumor found")
    expect(page.locator("#worker-state")).to_have_text("Worker ready", timeout=SOON_MS)
    expect(page.locator("#no-worker")).to_have_count(0)
    expect(result.locator("#verdict")).to_have_text("No tumor found", timeout=SOON_MS)


def test_places_in_line_come_from_one_list(page: Page, portal: RunningPortal, console: Console) -> None:
    console.expected = ["/readyz: Failed to load resource"]
    names = [f"line-{number}.png" for number in range(1, 6)]
    with worker_away(portal):
        page.goto("/")
        asked: list[str] = []
        for name in names:
            drop_files(page, {name: phantoms.render("clear")})
            card(page, name, "queued")
        page.on("request", lambda request: asked.append(request.url.partition("/api/v1")[2]))
        portal.json("POST", f"/api/v1/segmentations/{card(page, names[0]).get_attribute('data-segmentation')}/cancel")
        card(page, names[0], "cancelled")
        places = ("First", "Second", "Third", "Fourth")
        for name, place in zip(names[1:], places, strict=True):
            expect(card(page, name, "queued")).to_contain_text(f"{place} in line")
        polls = [url for url in asked if url.startswith("/scans") and ".png" not in url]
        lists = [url for url in polls if "status=queued" in url]
        assert lists and len(polls) - len(lists) <= 2  # the one that left the line asked for itself


def test_a_waiting_job_is_cancelled_and_tried_again(page: Page, portal: RunningPortal, console: Console) -> None:
    console.expected = ["/readyz: Failed to load resource"]
    with worker_away(portal):
        page.goto("/")
        drop_files(page, {"stopped.png": phantoms.render("lesion")})
        card(page, "stopped.png", "queued").get_by_role("button", name="Cancel").click()
        stopped = card(page, "stopped.png", "cancelled")
        expect(stopped).to_contain_text("Stopped before it finished")

    stopped = card(page, "stopped.png", "cancelled")
    stopped.get_by_role("button", name="Try again").click()
    expect(card(page, "stopped.png", "succeeded")).to_contain_text("Tumor detected")


def test_a_failed_job_says_why_and_its_retry_works(page: Page, portal: RunningPortal) -> None:
    on_portal, on_page = add_failed(portal, "failed-1.png"), add_failed(portal, "failed-2.png")
    page.goto("/")
    failed = card(page, "failed-1.png", "failed")
    expect(failed).to_contain_text(REASON)

    failed.get_by_role("button", name="Try again").click()

    expect(card(page, "failed-1.png", "succeeded")).to_contain_text("Tumor detected")
    open_result(page, on_portal)

    page.goto(f"/scans/{on_page}")
    expect(page.locator("#pending")).to_contain_text(REASON)
    expect(page.locator("#pending")).to_contain_text("out_of_memory")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#viewer[data-drawn]")


def test_out_of_reach_the_page_says_so_and_goes_on(page: Page, context: BrowserContext, console: Console) -> None:
    console.expected = ["ERR_INTERNET_DISCONNECTED"]
    page.goto("/")

    context.set_offline(True)
    expect(page.locator("#offline")).to_contain_text("The server cannot be reached.", timeout=SOON_MS)
    drop_files(page, {"offline.png": phantoms.render("lesion")})
    failed = page.locator('.card[data-state="failed"]').filter(has_text="offline.png")
    expect(failed).to_contain_text("The file may have arrived; sent again, it is stored once.")

    context.set_offline(False)
    expect(page.locator("#offline")).to_have_count(0, timeout=SOON_MS)
    failed.get_by_role("button", name="Try again").click()
    expect(card(page, "offline.png", "succeeded")).to_contain_text("Tumor detected")


def test_a_login_in_front_of_the_portal_that_has_ended_is_said(page: Page, console: Console) -> None:
    """Every call is sent on to a page of another host, which this page may not ask: "The server cannot be reached."."""
    console.expected = ["Content Security Policy directive", "CSP: connect-src", "Failed to load resource"]
    page.goto("/")
    to_login = re.compile("/(healthz|readyz|api/v1/.*)$")
    page.route(to_login, lambda route: route.fulfill(status=302, headers={"Location": "http://127.0.0.1:9/login"}))
    drop_files(page, {"away.png": phantoms.render("lesion")})
    failed = page.locator('.card[data-state="failed"]').filter(has_text="away.png")
    expect(failed).to_contain_text("You are not logged in any more. Log in again in another tab")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#offline")).to_contain_text("You are not logged in any more.", timeout=SOON_MS)

    page.unroute(to_login)
    expect(page.locator("#offline")).to_have_count(0, timeout=SOON_MS)
    failed.get_by_role("button", name="Try again").click()
    expect(card(page, "away.png", "succeeded")).to_contain_text("Tumor detected")


def test_an_upload_whose_answer_was_lost_is_stored_once(
    page: Page, context: BrowserContext, portal: RunningPortal, console: Console
) -> None:
    console.expected = ["ERR_FAILED"]
    page.goto("/")
    browser, lost = context.new_cdp_session(page), []

    def lose_first(event: dict) -> None:
        """The server has done its work when the head of its answer is here."""
        way = {"requestId": event["requestId"]}
        if lost:
            browser.send("Fetch.continueRequest", way)
        else:
            lost.append(event["responseStatusCode"])
            browser.send("Fetch.failRequest", {**way, "errorReason": "Failed"})

    browser.on("Fetch.requestPaused", lose_first)
    browser.send("Fetch.enable", {"patterns": [{"urlPattern": "*/api/v1/scans", "requestStage": "Response"}]})
    drop_files(page, {"lost-answer.png": phantoms.render("lesion")})
    failed = page.locator('.card[data-state="failed"]').filter(has_text="lost-answer.png")
    expect(failed).to_contain_text("may have arrived")
    assert lost == [202]

    failed.get_by_role("button", name="Try again").click()

    expect(card(page, "lost-answer.png", "succeeded")).to_contain_text("Tumor detected")
    assert len(portal.json("GET", "/api/v1/scans?q=lost-answer")[1]["scans"]) == 1


def test_a_card_whose_run_was_tried_again_elsewhere_follows_it(page: Page, portal: RunningPortal) -> None:
    scan_id = add_failed(portal, "tried-elsewhere.png")
    page.goto("/")
    run = card(page, "tried-elsewhere.png", "failed").get_attribute("data-segmentation")
    with worker_stopped(portal):
        assert portal.call("POST", f"/api/v1/segmentations/{run}/retry")[0] == 200
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(card(page, "tried-elsewhere.png", "queued")).to_contain_text("in line")
    expect(page.locator(f'.card[data-scan="{scan_id}"]')).to_have_attribute("data-state", "succeeded")
