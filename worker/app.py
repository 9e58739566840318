"""The Celery application: `celery --app worker.app worker`. Celery's settings and signals, nothing else."""

import threading

from celery import Celery, signals
from celery.worker.state import reserved_requests

from webapp.domain import logs
from webapp.domain.database.engine import Database
from webapp.domain.jobs.broker import celery_settings, served
from webapp.domain.settings import Settings
from worker.process import engines, runtime
from worker.process.schema import wait_for_schema

settings = Settings.of_process()

app = Celery("glioscope", include=["worker.tasks"])
app.conf.update(
    celery_settings(settings.redis_url, served(settings.worker_jobs)),
    worker_concurrency=1,
    # Loading and compiling a model takes seconds; the default of 4 s would kill the child in the middle of it.
    worker_proc_alive_timeout=180,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
)


def set_up_logging(**_: object) -> None:
    """Ours instead of Celery's, which would print arguments."""
    logs.configure(settings.log)


def wait_for_model_and_schema(**_: object) -> None:
    """Start with the default model and after a migration alone: until then jobs wait, and /readyz says why."""
    engines.wait_for_default_model(settings, threading.Event())
    database = Database(settings.database_url)
    wait_for_schema(database, settings.sweep_s, threading.Event())
    database.dispose()  # nothing is connected when the pool forks


def forget_lost_request(**_: object) -> None:
    """Take messages again as soon as there is a process for them.

    Celery counts the request of a killed process as running for another 10 to 15 s (`worker_lost_wait`, and the pool's
    own interval), and takes no message beside it (`worker_disable_prefetch`). There is one process: when it is
    created, no request is running.
    """
    reserved_requests.clear()


def open_runtime(**_: object) -> None:
    """Load and warm up the model in the very process that runs it; only then the worker is registered."""
    runtime.open_in_this_process(settings)


def close_runtime(**_: object) -> None:
    """Unregister this worker."""
    runtime.close_in_this_process()


signals.setup_logging.connect(set_up_logging)
signals.worker_init.connect(wait_for_model_and_schema)
signals.worker_before_create_process.connect(forget_lost_request)
signals.worker_process_init.connect(open_runtime)
signals.worker_process_shutdown.connect(close_runtime)
