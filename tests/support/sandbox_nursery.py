"""Forks sandbox servers of one entry: `python -m tests.support.sandbox_nursery CONTROL_FD MODULES_JSON`.

Started by tests/support/sandbox_servers.py. It imports what a server would, and nothing of pytest. For each message,
the limits of a server as JSON with two descriptors (the control socket, and a pipe that ends with the server), it forks
a process that goes on as `ml.sandbox.server` itself, and answers with its id.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from importlib import import_module
from types import FrameType

from ml.sandbox import server
from ml.sandbox.confinement import prepare

_MOST_BYTES = 64 * 1024


def main(arguments: list[str]) -> None:
    """Serve until the other side closes."""
    descriptor, modules_json = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    for name in json.loads(modules_json):
        import_module(name)
    prepare()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(descriptor)) as control:
        while True:
            limits_json, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
            if not limits_json:
                return
            pid = os.fork()
            if pid == 0:
                control.close()
                os.setsid()
                server.main([str(descriptors[0]), modules_json, limits_json.decode()])
                os._exit(0)
            for each in descriptors:
                os.close(each)
            control.send(str(pid).encode())


def _reap(_signal: int, _frame: FrameType | None) -> None:
    """Servers that have ended are gone at once, and their seconds are counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
