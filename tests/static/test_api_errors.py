"""What a reader is told of a refusal: whose it was, and what to do."""

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SAID = """async ([status, body]) => {
  const { errorFrom } = await import("/js/core/api.js");
  return errorFrom(status, body).message;
}"""


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(413, None, "A server in front of the portal takes nothing this large", id="a proxy's limit"),
        pytest.param(413, {"code": "too_large", "message": "Ours."}, "Ours.", id="the portal's own"),
        pytest.param(401, {"code": "unauthorized", "message": "Send a token."}, "You are not logged in", id="no login"),
        pytest.param(502, None, "The server answered with status 502.", id="the portal is away"),
    ],
)
def test_who_refused_is_said_to_a_reader(
    module_page: Page, status: int, body: dict[str, str] | None, said: str
) -> None:
    assert module_page.evaluate(SAID, [status, body]).startswith(said)
