"""supervisord of `make run`: in the foreground it ends with its terminal, as by Ctrl-C.

`python -m webapp.process.supervision -c FILE`.
"""

import signal

from supervisor import supervisord
from supervisor.options import ServerOptions


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


def main() -> None:
    """Run until it is ended."""
    supervisord.ServerOptions = ForegroundOptions
    supervisord.main()


if __name__ == "__main__":
    main()
