"""The help page speaks of all that a result may say, and its pictures are of the phantoms that the portal offers."""

import io

import numpy as np
import pytest
import tifffile
from flask.testing import FlaskClient
from markupsafe import escape
from PIL import Image

from ml.synthetic import phantoms
from webapp.domain.settings import PROJECT_ROOT
from webapp.schemas.warnings import WARNINGS

PICTURES = PROJECT_ROOT / "static" / "help"


def test_every_warning_and_verdict_is_explained(client: FlaskClient) -> None:
    page = client.get("/help").text
    for warning in WARNINGS.values():
        assert str(escape(warning.message)) in page, warning.code
        assert str(escape(warning.chip or warning.title)) in page, warning.code
    titles = [warning.chip or warning.title for warning in WARNINGS.values()]
    assert None not in titles and len(set(titles)) == len(titles), "each by words of its own"
    for words in ("Tumor detected", "Uncertain", "No tumor found", "No tumor counted", "No verdict"):
        assert f"<span>{words}</span>" in page
    assert "Research use only. Not for diagnosis." in page
    assert 'href="/help"' in client.get("/").text


@pytest.mark.parametrize("phantom", phantoms.PHANTOMS, ids=lambda phantom: phantom.name)
def test_a_sample_is_shown_as_it_is(client: FlaskClient, phantom: phantoms.Phantom) -> None:
    assert f"help/{phantom.name}-scan.png" in client.get("/").text
    shown = np.asarray(Image.open(PICTURES / f"{phantom.name}-scan.png").convert("RGB"))
    data = phantoms.render(phantom.name)
    slices = tifffile.imread(io.BytesIO(data)) if phantom.name == "stack" else np.asarray(Image.open(io.BytesIO(data)))
    assert any(np.array_equal(shown, one) for one in slices.reshape(-1, *shown.shape))
