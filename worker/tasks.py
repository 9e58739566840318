"""The Celery tasks: a few lines each over the pipelines. A message carries an id; the row says what is to be done."""

from webapp.domain.jobs.broker import RUN_EVALUATION_CHUNK, RUN_SEGMENTATION
from worker import segmentation
from worker.app import HARD_LIMIT_GRACE_S, app, settings
from worker.evaluation import chunks
from worker.process import engines


@app.task(name=RUN_SEGMENTATION)
def run_segmentation(segmentation_id: str) -> None:
    """Run one segmentation, if it is still to be run."""
    own = engines.current()
    with own.working():
        segmentation.run_segmentation(own, segmentation_id)


# One task does all kinds of chunks; their own limits, which may be shorter, are the lease's (`evaluations.chunks`).
@app.task(
    name=RUN_EVALUATION_CHUNK,
    soft_time_limit=max(settings.evaluation_timeout_s, settings.job_timeout_s),
    time_limit=max(settings.evaluation_timeout_s, settings.job_timeout_s) + HARD_LIMIT_GRACE_S,
)
def run_evaluation_chunk(chunk_id: str) -> None:
    """Do one chunk of an evaluation, if it is still to be done."""
    own = engines.current()
    with own.working():
        chunks.run_chunk(own, chunk_id)
