"""One form for every process's log: time, level, place, words, or the same as JSON, a line each. Ids and codes only: no
file names, no patient data.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

# They speak of every plug-in, every message and every request line; what a reader needs of these, our own lines say.
QUIET = ("alembic.runtime.plugins", "botocore", "celery.app.trace", "celery.worker.strategy", "werkzeug")
TEXT, JSON = "text", "json"

_NONE: Mapping[str, str | int] = {}
# Of the request or the job that this thread is at.
_ids: ContextVar[Mapping[str, str | int]] = ContextVar("log_ids", default=_NONE)


def configure(form: str = TEXT) -> None:
    """Write to the standard output; a portal's supervisor or container collects it."""
    handler = logging.StreamHandler(sys.stdout)
    words = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if form == JSON else words)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def name_ids(**ids: str | int) -> None:
    """From now on these are the ids of this thread's lines; without any, none are."""
    _ids.set(ids)


@contextmanager
def with_ids(**ids: str | int) -> Iterator[None]:
    """These are the ids of the block's lines."""
    before = _ids.set(ids)
    try:
        yield
    finally:
        _ids.reset(before)


class JsonLines(logging.Formatter):
    """A line is an object: `time` (UTC), `level`, `logger`, `message`, the ids, and of an error its `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids.get(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
