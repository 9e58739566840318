"""Running jobs of every kind: claim one, run its step, write down how it ended."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ml.cards import PackageError
from ml.engines import EngineError
from webapp.domain import logs
from webapp.domain.errors import DatabaseUnavailable, InvalidInput, PortalError, StorageFull, StorageUnavailable
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.models import ChunkKind
from webapp.domain.jobs import kinds
from webapp.domain.jobs.failure_codes import INTERNAL, MODEL_UNAVAILABLE, OUT_OF_MEMORY, TIMEOUT
from webapp.domain.jobs.kinds import EVALUATION_CHUNK, KINDS, SEGMENTATION, ClaimedJob, JobKind
from worker import segmentation
from worker.evaluation.cases import run_cases
from worker.evaluation.check import run_check
from worker.evaluation.report import run_report
from worker.jobs.lease import Lease, LeaseLost
from worker.jobs.machine_faults import machine_fault
from worker.jobs.step import JobFailed, Step, StepAside
from worker.jobs.time_limit import GRACE_S, JobTimeout, time_limit
from worker.process.runtime import Runtime

logger = logging.getLogger(__name__)

# How much of its time limit a job may have used when it still steps aside: what runs meanwhile counts toward the limit.
SHARE_FOR_OTHERS = 1 / 3
# How a trace calls the end of a run whose result another attempt writes.
LEASE_LOST = "lease_lost"

CHUNK_STEPS: Mapping[ChunkKind, Step[ChunkInput]] = {
    ChunkKind.CHECK: run_check,
    ChunkKind.CASES: run_cases,
    ChunkKind.REPORT: run_report,
}


def _run_chunk(runtime: Runtime, job: ClaimedJob[ChunkInput], lease: Lease, step_aside: StepAside) -> None:
    CHUNK_STEPS[job.input.kind](runtime, job, lease, step_aside)


# By the names of webapp.domain.jobs.kinds; `Any`, since each step takes the input of its own kind.
STEPS: Mapping[str, Step[Any]] = {SEGMENTATION.name: segmentation.run, EVALUATION_CHUNK.name: _run_chunk}


def run_next(runtime: Runtime) -> None:
    """Run the next job, if one is ready. Raises DatabaseUnavailable where it cannot be claimed.

    One job per message, and a new message for the next job, so that Celery can stop the worker between two jobs. A
    message before the job wakes an idle worker; one after it covers jobs that were queued meanwhile, by this job or by
    an upload whose own message was lost.
    """
    job = kinds.claim_next(runtime.resources, runtime.worker_id, kinds.served_kinds(runtime.resources.settings))
    if job is not None:
        _wake_next(runtime)
        run(runtime, job)
        _wake_next(runtime)


def run(runtime: Runtime, job: ClaimedJob[Any]) -> None:
    """Run a claimed job to an end: succeeded, failed with a code, back in the queue, or left to another attempt."""
    traces, began_ns = runtime.resources.traces, time.time_ns()
    if job.waited_s is not None:
        traces.add(job.trace, "queue", began_ns - int(job.waited_s * 1e9), began_ns)
    with logs.with_ids(job=job.claim.id, kind=job.kind.name, attempt=job.claim.attempt):
        error = _run_to_end(runtime, job)
    runtime.resources.endings.announce(job.subject)
    traces.add(
        job.trace,
        job.kind.name,
        began_ns,
        time.time_ns(),
        error=error,
        job=job.claim.id,
        attempt=job.claim.attempt,
        worker=runtime.worker_id,
    )


def _run_to_end(runtime: Runtime, job: ClaimedJob[Any]) -> str | None:
    """The code with which it ended; None where it succeeded."""
    resources, began = runtime.resources, time.monotonic()
    served = kinds.served_kinds(resources.settings)
    urgent = [kind for kind in served if KINDS.index(kind) < KINDS.index(job.kind)]

    def step_aside() -> None:
        while time.monotonic() - began < job.timeout_s * SHARE_FOR_OTHERS and _is_one_done(runtime, urgent):
            pass

    try:
        with (
            time_limit(job.timeout_s, resources.settings.lease_s + GRACE_S) as limit,
            Lease(resources, job.claim, job.timeout_s, limit) as lease,
        ):
            _run_in_time(runtime, job, lease, step_aside)
        logger.info("%s: succeeded in %.0f ms", job.name, (time.monotonic() - began) * 1000)
        return None
    except LeaseLost:
        logger.info("%s: lease lost, its result is discarded", job.name)
        return LEASE_LOST
    except (StorageFull, StorageUnavailable, DatabaseUnavailable) as error:
        # Not the job's fault: it goes back into the queue and is tried again after a delay.
        logger.warning("%s: %s, released", job.name, error.code)
        return _release(runtime, job, error)
    except JobFailed as error:
        return _fail(runtime, job, error.code, error.message)
    except MemoryError:
        return _fail(runtime, job, OUT_OF_MEMORY)
    except JobTimeout:
        return _fail(runtime, job, TIMEOUT)
    except (PackageError, EngineError, InvalidInput):
        logger.exception(job.name)
        return _fail(runtime, job, MODEL_UNAVAILABLE)
    except Exception as error:
        fault = machine_fault(error) if isinstance(error, OSError) else None
        logger.exception(job.name)
        return _fail(runtime, job, INTERNAL) if fault is None else _release(runtime, job, fault)


def _run_in_time(runtime: Runtime, job: ClaimedJob[Any], lease: Lease, step_aside: StepAside) -> None:
    """Raises LeaseLost in place of JobTimeout where the time went by while the process stood still."""
    try:
        STEPS[job.kind.name](runtime, job, lease, step_aside)
    except JobTimeout as error:
        if lease.is_over():
            raise LeaseLost from error
        raise


def _wake_next(runtime: Runtime) -> None:
    try:
        kinds.publish_if_ready(runtime.resources)
    except DatabaseUnavailable as error:  # the claimed job is run all the same
        logger.warning("no worker was woken: %s; the sweeper will do it", error.code)


def _is_one_done(runtime: Runtime, urgent: Sequence[JobKind[Any, Any]]) -> bool:
    """Run the next job of the kinds that go before the one that is running; False where there is none.

    It is looked for without writing: a step asks many times a second.
    """
    try:
        if not kinds.is_any_ready(runtime.resources, urgent):
            return False
        job = kinds.claim_next(runtime.resources, runtime.worker_id, urgent)
    except DatabaseUnavailable as error:
        logger.warning("no job was claimed: %s", error.code)
        return False
    if job is None:
        return False
    run(runtime, job)
    return True


def _release(runtime: Runtime, job: ClaimedJob[Any], error: PortalError) -> str:
    try:
        kinds.release(runtime.resources, job, error)
    except DatabaseUnavailable:
        logger.warning("%s: not released; its lease will end", job.name)
    return error.code


def _fail(runtime: Runtime, job: ClaimedJob[Any], code: str, message: str = "") -> str:
    try:
        if not kinds.fail(runtime.resources, job, code, message):
            logger.info("%s: lease lost, its end (%s) is not written", job.name, code)
    except DatabaseUnavailable:
        logger.warning("%s: its failure was not written; its lease will end", job.name)
    return code
