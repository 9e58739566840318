"""A worker that cannot start: its process is replaced, and the portal gets ready as soon as it can."""

from pathlib import Path

import pytest

from tests.faults.conftest import FAST
from tests.support.portal_process import running_portal
from tests.support.resources import MODEL
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.long


def test_a_worker_that_cannot_start_is_tried_again(tmp_path: Path) -> None:
    compiled = tmp_path / "portal" / "instance" / "compiled"
    compiled.parent.mkdir(parents=True)
    compiled.write_text("a file where the folder of compiled models should be")
    small = {"GLIOSCOPE_MODELS": str(write_small_model(tmp_path / "models")), "GLIOSCOPE_MODEL": MODEL}
    with running_portal(tmp_path / "portal", is_awaited=False, **small, **FAST) as portal:
        portal.wait_for_words("this worker cannot start")
        compiled.unlink()
        portal.wait_until_ready()
