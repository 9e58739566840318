"""Whether the client of the current request has gone: nobody reads an answer that it waits for."""

import select
from collections.abc import Callable

from flask import request

_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


def watch_for_departure() -> Callable[[], bool]:
    """Tells, as often as it is asked, whether the connection is closed from the client's side; False where the server
    shows no socket."""
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return lambda: False
    poll = select.poll()
    poll.register(connection, _GONE)
    return lambda: bool(poll.poll(0))
