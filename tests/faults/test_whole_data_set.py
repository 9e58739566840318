"""Real patients evaluated from the browser while the worker is killed twice: the command line's numbers on the page.

GLIOSCOPE_TEST_SLICES=3093 takes the whole data set instead of its first patients.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import FAST
from tests.faults.test_evaluations import of_command_line, without_times
from tests.faults.test_kills import worker_processes
from tests.support.portal_process import running_portal
from tests.support.resources import MODEL
from tests.support.small_model import SHIPPED

if TYPE_CHECKING:
    from tests.support.browsers import Chromium

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.data]

SLICES = int(os.environ.get("GLIOSCOPE_TEST_SLICES", "60"))
KILL_AT = ((0.3, "child"), (0.6, "parent"))
# A slice a second is slow even for one core.
FINISH_S = 60 + SLICES


def copy_patients(source: Path, target: Path) -> int:
    """Whole patients until there are SLICES slices; gives their number."""
    count = 0
    for patient in sorted(path for path in source.iterdir() if path.is_dir()):
        if count >= SLICES:
            break
        shutil.copytree(patient, target / patient.name)
        count += sum("_mask" not in path.stem for path in patient.glob("*.webp"))
    return count


@pytest.mark.timeout(300 + 3 * SLICES)
def test_a_data_set_from_the_browser_with_kills_has_the_command_lines_numbers(
    chromium: "Chromium", real_data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    data = tmp_path / "roots" / "lgg"
    slices = copy_patients(real_data / "lgg", data)
    # Small chunks, so that a kill strikes in the middle of a small data set too.
    environ = {"GLIOSCOPE_EVALUATION_ROOTS": str(data.parent), "GLIOSCOPE_EVALUATION_CHUNK": "8", **FAST}
    environ["GLIOSCOPE_MODEL"] = MODEL
    with running_portal(tmp_path / "portal", **environ) as portal:
        page = chromium.new_page(base_url=portal.url)
        page.goto("/evaluations/new")
        page.get_by_role("link", name=str(data.parent.resolve())).click()
        page.get_by_role("link", name="lgg", exact=True).click()
        page.get_by_role("button", name="Evaluate this folder").click()
        page.wait_for_url("**/evaluations/*")
        began, kills, killed_at, seen = time.monotonic(), list(KILL_AT), [], set()
        path = f"/api/v1/evaluations/{page.url.rsplit('/', 1)[1]}"
        while (evaluation := portal.json("GET", path)[1])["status"] in ("queued", "running"):
            assert time.monotonic() - began < FINISH_S, portal.log()
            done = evaluation["progress"]["done"]
            if kills and done >= kills[0][0] * slices:
                parent, child = worker_processes(portal)
                (child if kills.pop(0)[1] == "child" else parent).send_signal(signal.SIGKILL)
                killed_at.append(done)
            bar = page.locator("progress")
            seen.add(bar.first.get_attribute("value") if bar.count() else None)
            time.sleep(0.25)
        seconds = time.monotonic() - began
        assert evaluation["status"] == "succeeded", (evaluation, portal.log())
        assert len(killed_at) == 2 and killed_at[-1] < slices, killed_at
        assert evaluation["progress"]["failed"] == 0
        assert len(seen) > 2, f"the page shows the progress without being loaded again: {seen}"
        page.locator(".headline").wait_for(timeout=30_000)
        ours = json.loads(portal.call("GET", evaluation["links"]["report.json"])[1])
        theirs = of_command_line(SHIPPED, data, tmp_path / "out")
        assert without_times(ours) == without_times(theirs)
        summary = theirs["summary"]
        assert (summary["slices"], summary["model"].split()[0]) == (slices, MODEL)
        assert f"Patient Dice {summary['patient_dice_mean']:.3f}" in page.locator(".headline").inner_text()
        chromium.close_context(page.context)
    figure(
        f"{slices} real slices from the browser, worker killed after {killed_at}: {seconds:.0f} s, report.json equal to"
        f" the command line's; patient Dice {summary['patient_dice_mean']:.4f}"
    )
