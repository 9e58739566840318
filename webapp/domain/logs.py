"""One form for every process's log: time, level, place, words. Ids and codes only: no file names, no patient data."""

import logging
import sys

# They speak of every plug-in, every message and every request line; what a reader needs of these, our own lines say.
QUIET = ("alembic.runtime.plugins", "botocore", "celery.app.trace", "celery.worker.strategy", "werkzeug")


def configure() -> None:
    """Write to the standard output; a portal's supervisor or container collects it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
