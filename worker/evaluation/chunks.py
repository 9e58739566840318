"""What a worker does with a chunk of an evaluation: claim, do what its kind says, and name whatever goes wrong."""

import logging
import time

from celery.exceptions import SoftTimeLimitExceeded

from ml.cards.card import PackageError
from ml.datasets import DatasetError
from ml.engines import EngineError
from webapp.domain.errors import DatabaseUnavailable, InvalidInput, StorageFull, StorageUnavailable
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.chunks import Work
from webapp.domain.evaluations.models import ChunkKind
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Segmentation
from worker import segmentation
from worker.evaluation.cases import run_cases
from worker.evaluation.check import CheckRefused, run_check
from worker.evaluation.report import NothingEvaluated, run_report
from worker.jobs.lease import Heartbeat, LeaseLost
from worker.process.engines import Runtime

logger = logging.getLogger(__name__)

MESSAGES = {
    "out_of_memory": "This needs more memory than there is; use smaller images, or a larger machine.",
    "timeout": "This took longer than it may; use fewer or smaller files, or raise the time limits of the settings.",
    "model_unavailable": "The model cannot be loaded, or is not the one that the evaluation began with; restore its"
    " package and evaluate again.",
    "internal": "This failed by a fault of this software; the server's log has it under the evaluation's id.",
}
STEPS = {ChunkKind.CHECK: run_check, ChunkKind.CASES: run_cases, ChunkKind.REPORT: run_report}
# A worker steps aside for uploads only so far into a chunk: its time limit counts what it does for others, too.
SHARE_FOR_OTHERS = 1 / 3


def run_chunk(runtime: Runtime, chunk_id: str) -> None:
    """Claim a chunk and do it; where it cannot be claimed there is nothing to do."""
    resources = runtime.resources
    claimed = chunks.claim(resources, chunk_id, runtime.worker_id)
    if claimed is None:
        return
    held, work = claimed
    name = f"evaluation {work.evaluation_id} {work.kind.value} chunk {held.id} attempt {held.attempt}"
    began, timeout_s = time.monotonic(), chunks.timeout_s(resources, work.kind)

    def step_aside() -> None:
        if time.monotonic() - began < timeout_s * SHARE_FOR_OTHERS:
            run_waiting_segmentation(runtime)

    try:
        with Heartbeat(resources, held, timeout_s) as heartbeat:
            STEPS[work.kind](runtime, held, work, heartbeat, step_aside)
        logger.info("%s: done in %.1f s", name, time.monotonic() - began)
    except LeaseLost:
        logger.info("%s: lease lost, the rest is nobody's", name)
    except (StorageFull, StorageUnavailable, DatabaseUnavailable) as error:
        logger.warning("%s: %s, released", name, error.code)
        _release(resources, held, error)
    except (CheckRefused, NothingEvaluated) as error:
        _fail(resources, held, work, error.code, error.message)
    except MemoryError:
        _fail(resources, held, work, "out_of_memory")
    except SoftTimeLimitExceeded:
        _fail(resources, held, work, "timeout")
    except (PackageError, EngineError, InvalidInput):
        logger.exception(name)
        _fail(resources, held, work, "model_unavailable", is_final=True)
    except DatasetError:
        logger.exception(name)
        _fail(resources, held, work, "internal")
    except Exception:
        logger.exception(name)
        _fail(resources, held, work, "internal")


def run_waiting_segmentation(runtime: Runtime) -> None:
    """Do the segmentation that has waited longest, if any: a person's upload need not wait for a chunk to end."""
    with runtime.resources.database.read() as session:
        waiting = lifecycle.waiting(session, Segmentation, since_s=0, limit=1)
    for segmentation_id in waiting:
        segmentation.run_segmentation(runtime, segmentation_id)


def _release(
    resources: Resources, held: lifecycle.Claim, error: StorageFull | StorageUnavailable | DatabaseUnavailable
) -> None:
    try:
        with resources.database.write() as session:
            lifecycle.release(session, held, code=error.code, message=error.message)
    except DatabaseUnavailable:
        logger.warning("chunk %s: not released, its lease will end", held.id)


def _fail(
    resources: Resources, held: lifecycle.Claim, work: Work, code: str, message: str = "", *, is_final: bool = False
) -> None:
    try:
        chunks.fail(resources, held, code=code, message=message or MESSAGES[code], is_final=is_final)
    except DatabaseUnavailable:
        logger.warning("chunk %s of %s: its failure was not written, its lease will end", held.id, work.evaluation_id)
