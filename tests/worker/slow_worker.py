"""A worker process with a slow engine and without Celery, to be killed: `python -m tests.worker.slow_worker ID`."""

import sys
import time

from tests.support.evaluations import queued_chunks
from tests.support.jobs import run_chunk
from tests.worker.conftest import BrightnessEngine
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings
from worker.evaluation import cases
from worker.process.runtime import Runtime

SLICE_S = 0.02


def main(evaluation_id: str) -> None:
    """Run chunks until none is queued."""
    cases.GROUP = 4
    resources = Resources.open(Settings.from_environment())
    runtime, engine = Runtime(resources), BrightnessEngine()
    engine.before = lambda: time.sleep(SLICE_S * engine.pieces[-1])
    runtime.engine = lambda _model: engine
    while chunks := queued_chunks(resources, evaluation_id):
        # Not always the first: several workers then share the chunks.
        run_chunk(runtime, chunks[time.monotonic_ns() % len(chunks)])
    runtime.case_reader.close()
    runtime.file_checker.close()


if __name__ == "__main__":
    main(sys.argv[1])
