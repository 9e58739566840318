"""supervisord of `make run`: in the foreground it ends with its terminal, as by Ctrl-C.

`python -m webapp.process.supervision -c FILE`.
"""

import signal
import sys
from typing import Any

from supervisor import loggers, supervisord
from supervisor.options import ServerOptions

# The log of each process in deploy/supervisord.conf.
OWN_OUTPUT = "/dev/fd/1"
_handle_file = loggers.handle_file


class ForegroundOptions(ServerOptions):  # type: ignore[misc]  # the library ships no types
    """A closed terminal sends SIGHUP, by which supervisord would start everything again, in nobody's sight."""

    def setsignals(self) -> None:
        """Where `nohup` has SIGHUP ignored, it stays so."""
        handler = signal.getsignal(signal.SIGHUP)
        super().setsignals()
        if handler == signal.SIG_IGN:
            signal.signal(signal.SIGHUP, handler)

    def get_signal(self) -> int | None:
        """The next signal that came; None without one."""
        found: int | None = super().get_signal()
        return signal.SIGTERM if found == signal.SIGHUP else found


def handle_log(logger: Any, filename: str, fmt: str, *args: Any, **kwargs: Any) -> None:
    """supervisord's `handle_file`, but for its own output, which that would open anew by its path.

    The kernel refuses that of a socket (systemd's journal) and of another user's terminal or pipe (`sudo -u`, `su`);
    supervisord then starts no process, and does not say so.
    """
    if filename != OWN_OUTPUT:
        _handle_file(logger, filename, fmt, *args, **kwargs)
        return
    handler = loggers.StreamHandler(sys.stdout.buffer)
    handler.setFormat(fmt)
    handler.setLevel(logger.level)
    logger.addHandler(handler)


def drop_line(_handler: loggers.Handler) -> None:
    """In place of a traceback beside a line that cannot be written, which ended supervisord and with it the portal.

    A log on a full disk (`nohup make run &`), a `tee` that has ended: jobs and pages go on without their lines.
    """


def main() -> None:
    """Run until it is ended."""
    loggers.handle_file = handle_log
    loggers.Handler.handleError = drop_line
    supervisord.ServerOptions = ForegroundOptions
    supervisord.main()


if __name__ == "__main__":
    main()
