"""The running portal as these tests need it: scans with a known result, and a worker that is away for a while."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
from sqlalchemy import update

from ml.cards import DoubtRule, load_card
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import measure
from ml.synthetic import phantoms
from tests.support import shipped_model
from tests.support.jobs import claim_segmentation
from tests.support.portal_process import RunningPortal, suspend, suspended
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Segmentation
from webapp.domain.scans.segmentations import RunFacts
from webapp.domain.settings import Settings
from webapp.domain.storage.arrays import write_array
from webapp.domain.storage.keys import map_key

# Short, so that a test need not wait long for a worker to count as gone.
FAST = {"GLIOSCOPE_LEASE_S": "3", "GLIOSCOPE_HEARTBEAT_S": "1", "GLIOSCOPE_SWEEP_S": "1"}
PEAK = 240 / 255
# The threshold of a run that asks for none: the default model's.
STORED = load_card(shipped_model.FOLDER).threshold
REASON = "The scan is too large for this machine's memory; send fewer slices, or use a larger machine."


def hill() -> np.ndarray:
    """A probability map, uint8 (256, 256): a round hill of PEAK, so that each threshold has its own area."""
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 110, columns - 150)
    return np.round(255 * PEAK * np.clip(1 - distance / 60, 0, 1)).astype(np.uint8)


@contextmanager
def services(portal: RunningPortal) -> Iterator[Resources]:
    """The portal's own services, in this process."""
    opened = Resources.open(Settings.from_environment({"GLIOSCOPE_INSTANCE": str(portal.folder / "instance")}))
    try:
        yield opened
    finally:
        opened.close()


def is_writable(portal: RunningPortal) -> bool:
    """Whether nobody holds the database's lock for longer than a transaction takes."""
    with closing(sqlite3.connect(portal.folder / "instance" / "glioscope.sqlite3", timeout=0.5)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        database.rollback()
        return True


@contextmanager
def worker_stopped(portal: RunningPortal) -> Iterator[None]:
    """The worker's processes stand still, as on a machine that sleeps; the supervisor does not start others."""
    processes = portal.processes("celery", "worker.app")
    with suspended(processes):
        while not is_writable(portal):  # stopped in the middle of a heartbeat's transaction
            for process in processes:
                process.resume()
            time.sleep(0.05)
            suspend(processes)
        yield


@contextmanager
def worker_away(portal: RunningPortal) -> Iterator[None]:
    """The worker stands still, and the portal has noticed."""
    with worker_stopped(portal):
        deadline = time.monotonic() + 20
        while portal.call("GET", "/readyz")[0] == 200:
            assert time.monotonic() < deadline, "the worker still counts as live"
            time.sleep(0.2)
        time.sleep(2.1)  # the pages' dot may be as old as this
        yield
    portal.wait_until_ready()


def add_known_result(
    portal: RunningPortal,
    filename: str,
    q: np.ndarray,
    doubt: DoubtRule | None = None,
    threshold: float | None = None,
    warnings: tuple[str, ...] = (),
    data: bytes | None = None,
) -> str:
    """A scan whose map is q, uint8 (256, 256), whatever the model would say; gives the scan's id.

    doubt, threshold: of the run, in place of the card's. warnings: codes of the run's. data: of the file, in place of a
    phantom's slice; q is then of its size, or (N, H, W).
    """
    maps = q if q.ndim == 3 else q[None]
    with worker_stopped(portal), services(portal) as opened:
        scan = portal.upload(data or phantoms.render("lesion"), filename)
        claimed = claim_segmentation(opened, scan["segmentation"]["id"])
        assert claimed is not None
        claim, work = claimed
        card = opened.catalog.card(work.model)
        rule = rule_on_grid(replace(card, doubt=doubt), threshold or work.threshold, *maps.shape[1:])
        key = map_key(work.scan_id, claim.id, claim.attempt)
        write_array(opened.storage, key, maps)
        with opened.database.write() as session:
            session.execute(update(Segmentation).where(claim.is_valid()).values(threshold=rule.threshold))
        facts = RunFacts(
            map_key=key,
            engine="openvino-int8",
            model_version=card.version,
            min_tumor_pixels=rule.min_tumor_pixels,
            doubt_rule=doubt,
            timings_ms={"queued": 1.0, "infer": 1.0, "total": 2.0},
            warnings=warnings,
        )
        segmentations.complete(
            opened, claim, measure(maps, apply_rule(maps, rule, is_stack=True), None, warnings), facts
        )
    return str(scan["id"])


def add_failed(portal: RunningPortal, filename: str) -> str:
    """A scan whose job has failed with REASON; gives the scan's id."""
    with worker_stopped(portal), services(portal) as opened:
        scan = portal.upload(phantoms.render("lesion"), filename)
        claimed = claim_segmentation(opened, scan["segmentation"]["id"])
        assert claimed is not None
        with opened.database.write() as session:
            lifecycle.fail(session, claimed[0], code="out_of_memory", message=REASON)
    return str(scan["id"])
