"""`make run`: migrate the database, then run Redis, worker, sweeper and web under supervisord, in the foreground."""

import fcntl
import getpass
import os
import socket
import sys
from pathlib import Path

from webapp.domain.database import migration
from webapp.domain.settings import PROJECT_ROOT, Settings, SettingsError, check_bind


def main() -> None:
    """Prepare, then become supervisord. Ends with one sentence where something is in the way."""
    try:
        settings = Settings.from_environment()
        host, port = _address(settings.bind)
        check_bind(settings.auth, (host, port))
        _check_port(host, port)
        settings.instance_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _lock_instance(settings.instance_dir)
    except SettingsError as error:
        sys.exit(str(error))
    migration.upgrade(settings.database_url)
    os.environ.update(
        GLIOSCOPE_ROOT=str(PROJECT_ROOT),
        GLIOSCOPE_INSTANCE=str(settings.instance_dir),
        GLIOSCOPE_PYTHON=sys.executable,
        GLIOSCOPE_USER=getpass.getuser(),
        GLIOSCOPE_EMBEDDED_REDIS="true" if settings.has_embedded_redis else "false",
    )
    os.chdir(PROJECT_ROOT)
    sys.stdout.write(f"Glioscope is starting on http://{settings.bind} ...\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", "deploy/supervisord.conf"]
    os.execv(sys.executable, command)  # noqa: S606 - replaced, so that Ctrl-C reaches supervisord itself


def _address(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"GLIOSCOPE_BIND is {bind!r}; it must be a host and a port, such as 127.0.0.1:8000.")
    return host.strip("[]"), int(port)


def _lock_instance(instance_dir: Path) -> None:
    """One portal an instance: a second one would take over its broker's socket. The lock goes with supervisord."""
    handle = os.open(instance_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            "A portal runs on this instance already; stop it, or give this one a folder of its own: GLIOSCOPE_INSTANCE."
        ) from error
    os.set_inheritable(handle, True)


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"Port {port} of {host} is not free ({error.strerror}); stop what uses it, or set GLIOSCOPE_BIND."
            ) from error


if __name__ == "__main__":
    main()
