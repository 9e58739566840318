"""The Celery application: `celery --app worker.app worker`. Celery's settings and signals, nothing else."""

from celery import Celery, signals

from webapp.domain import logs
from webapp.domain.jobs.broker import celery_settings
from webapp.domain.settings import Settings
from worker.process import engines

# Beyond the job's own limit, after which its lease is not extended any more, the pool kills the child.
HARD_LIMIT_GRACE_S = 10.0

settings = Settings.from_environment()

app = Celery("glioscope", include=["worker.tasks"])
app.conf.update(
    celery_settings(settings.redis_url),
    worker_concurrency=1,
    # Soft first: a hang in Python ends as `timeout` in words; one in native code is killed, and the sweeper says it.
    task_soft_time_limit=settings.job_timeout_s,
    task_time_limit=settings.job_timeout_s + HARD_LIMIT_GRACE_S,
    # Loading and compiling a model takes seconds; the default of 4 s would kill the child in the middle of it.
    worker_proc_alive_timeout=180,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
)


@signals.setup_logging.connect
def set_up_logging(**_: object) -> None:
    """Ours instead of Celery's, which would print arguments."""
    logs.configure()


@signals.worker_init.connect
def check_model(**_: object) -> None:
    """Refuse to start without the default model: jobs wait, and /readyz says why."""
    engines.check_default_model(settings)


@signals.worker_process_init.connect
def open_runtime(**_: object) -> None:
    """Load and warm up the model in the very process that runs it; only then the worker says that it is there."""
    engines.open_in_this_process(settings)


@signals.worker_process_shutdown.connect
def close_runtime(**_: object) -> None:
    """Say that this worker is gone."""
    engines.close_in_this_process()
