"""The live workers: a row each, updated with every heartbeat. The pages' status dot and /readyz read them."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.jobs.broker import served
from webapp.domain.jobs.models import WorkerPresence
from webapp.domain.resources import Resources

# Rows of workers that ended without removing theirs are deleted after this time.
FORGOTTEN_S = 3600.0


def register_worker(resources: Resources, worker_id: str, *, engine: str, model: str) -> None:
    """Record that a worker is ready: its model is loaded and has run once."""
    jobs = resources.settings.worker_jobs
    with resources.database.write() as session:
        row = session.get(WorkerPresence, worker_id)
        if row is None:
            session.add(WorkerPresence(id=worker_id, engine=engine, model=model, jobs=jobs))
        else:
            row.engine, row.model, row.jobs, row.seen_at = engine, model, jobs, database_now()
        session.execute(delete(WorkerPresence).where(WorkerPresence.seen_at < database_now(-FORGOTTEN_S)))


def unregister_worker(resources: Resources, worker_id: str) -> None:
    """Remove a worker that ends."""
    with resources.database.write() as session:
        session.execute(delete(WorkerPresence).where(WorkerPresence.id == worker_id))


def live_workers(session: Session, within_s: float, queue: str | None = None) -> int:
    """Workers seen within the time, which is a lease; those that serve a queue (`broker.QUEUES`), or all."""
    statement = select(WorkerPresence.jobs).where(WorkerPresence.seen_at > database_now(-within_s))
    return sum(queue is None or queue in served(jobs) for jobs in session.scalars(statement))
