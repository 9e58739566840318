"""gunicorn's settings: `gunicorn wsgi:app` reads this file by itself."""

import gc
import multiprocessing
import os
import sys
import threading
from typing import TYPE_CHECKING

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from webapp.domain.settings import Settings, SettingsError, check_bind

if TYPE_CHECKING:
    from flask import Flask

settings = Settings.of_process()
if "GLIOSCOPE_PYTHON" not in os.environ:  # else the launcher has said it
    for sentence in Settings.unknown_variables():
        sys.stderr.write(f"{sentence}\n")

bind = settings.bind
# One process: its threads wait for jobs and render pictures; a second one would cost 100 MB and win nothing here.
workers = 1
worker_class = "webapp.process.gunicorn_worker.PatientWorker"
# Made as they are needed. Clients that wait for a result hold 48 + 16 of them at most (webapp.domain.jobs.wait), slow
# clients another 64 (webapp.process.gunicorn_worker); the others answer.
threads = 160
# A file is sent through the patient socket, not past it.
sendfile = False
# Only the arbiter's watch over a hung process: requests have limits of their own.
timeout = 60
graceful_timeout = 35
keepalive = 5
# Whose word about TLS is believed is the application's setting (webapp.security); by itself gunicorn believes any
# program of this machine.
forwarded_allow_ips = ""
# URLs carry search words, which may be names; the metrics count requests by route instead.
accesslog = None
errorlog = "-"
loglevel = "warning"
limit_request_line = 4094
limit_request_fields = 50


def on_starting(server: Arbiter) -> None:
    """Check the address that will really be bound, whoever set it, and bring the database to the newest schema."""
    for address in server.cfg.address:
        try:
            check_bind(settings, address)
        except SettingsError as error:
            sys.exit(str(error))
    # In a process of its own: this one lives on, and need not hold Alembic and SQLAlchemy for it.
    upgrade = multiprocessing.get_context("fork").Process(target=_migrate)
    upgrade.start()
    upgrade.join()
    if upgrade.exitcode != 0:
        sys.exit("The database could not be brought to the newest schema; the lines above say why.")


def _migrate() -> None:
    from webapp.domain.database import migration
    from webapp.process import administrators

    try:
        migration.upgrade(settings.database_url)
        administrators.check(settings)
    except SettingsError as error:
        sys.exit(str(error))
    except migration.SchemaError as error:
        sys.exit(str(error))


def post_fork(_server: Arbiter, _worker: Worker) -> None:
    """Nothing that is made at the start is garbage: to look for it takes a fifth of the start's time."""
    gc.disable()


def post_worker_init(worker: Worker) -> None:
    """Leave the portal's own objects to no garbage collection, and warm up beside the first requests."""
    # A full collection looks at every object there is, and no thread runs meanwhile: 180 ms, once in a hundred lists.
    # What was imported stays anyway, and is not looked at again.
    gc.collect()
    gc.freeze()
    gc.enable()
    threading.Thread(target=_warm_up, args=(worker.wsgi,), name="warm-up", daemon=True).start()


def _warm_up(app: "Flask") -> None:
    from webapp.warm_up import warm_up  # Flask and Celery: the arbiter need not hold them

    warm_up(app)
