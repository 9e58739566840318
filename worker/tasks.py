"""The Celery tasks: a few lines each over the pipelines. A message carries an id; the row says what is to be done."""

from webapp.domain.queue import RUN_SEGMENTATION
from worker import pipelines, runtime
from worker.app import app


@app.task(name=RUN_SEGMENTATION)
def run_segmentation(segmentation_id: str) -> None:
    """Run one segmentation, if it is still to be run."""
    own = runtime.current()
    with own.working():
        pipelines.run_segmentation(own, segmentation_id)
