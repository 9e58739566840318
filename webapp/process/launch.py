"""`make run`: migrate the database, then run Redis, worker, sweeper and web under supervisord, in the foreground."""

import fcntl
import getpass
import os
import shlex
import socket
import sys
from pathlib import Path

from ml.cards import PackageError
from webapp.domain.catalog.default_model import check_default_model
from webapp.domain.database import migration
from webapp.domain.settings import PROJECT_ROOT, Settings, SettingsError, check_bind
from webapp.domain.settings.instance import unusable
from webapp.domain.settings.parsing import address
from webapp.process import administrators, supervised

# Longer than the web process lets a waiting client have its result.
ORPHANS_END_S = 45.0
# Of deploy/supervisord.conf.
PID_FILE = "supervisord.pid"


def main() -> None:
    """Prepare, then become supervisord. Ends with one sentence where something is in the way."""
    try:
        settings = Settings.from_environment()
        host, port = address("GLIOSCOPE_BIND", settings.bind)
        check_bind(settings, (host, port))
        lock_instance(settings.instance_dir)
        _check_port(host, port)
        migration.upgrade(settings.database_url)
        administrators.check(settings)
        check_default_model(settings.default_model, settings.model_directories)
    except (SettingsError, migration.SchemaError, PackageError) as error:
        sys.exit(str(error))
    for sentence in Settings.unknown_variables():
        sys.stderr.write(f"{sentence}\n")
    os.environ.update(
        GLIOSCOPE_ROOT=str(PROJECT_ROOT),
        GLIOSCOPE_INSTANCE=str(settings.instance_dir),
        GLIOSCOPE_PYTHON=shlex.quote(sys.executable),
        GLIOSCOPE_USER=getpass.getuser(),
        GLIOSCOPE_WORKER_JOBS="interactive" if settings.batch_worker == "on" else settings.worker_jobs,
        GLIOSCOPE_BATCH_WORKER=settings.batch_worker,
        GLIOSCOPE_EMBEDDED_REDIS="true" if settings.has_embedded_redis else "false",
        GLIOSCOPE_HAS_DICOM_NODE="true" if settings.dicom_node == "on" else "false",
    )
    os.chdir(PROJECT_ROOT)
    sys.stdout.write(f"Glioscope is starting on http://{settings.bind} ...\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "webapp.process.supervision", "-c", "deploy/supervisord.conf"]
    os.execv(sys.executable, command)  # noqa: S606 - replaced, so that Ctrl-C reaches supervisord itself


def lock_instance(instance_dir: Path) -> None:
    """One portal an instance: a second one would take over its broker's socket. The lock goes with supervisord.

    Processes of a supervisor that was killed end by themselves, and are waited for: they hold the port and the socket.
    """
    try:
        instance_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(instance_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(handle, True)
        if supervised.wait_for_end(instance_dir, 0):
            return
        sys.stdout.write("The portal that ran on this instance was killed; waiting for its processes to end ...\n")
        sys.stdout.flush()
        if not supervised.wait_for_end(instance_dir, ORPHANS_END_S):
            left = ", ".join(map(str, supervised.holders(instance_dir))) or "see `ps`"
            raise SettingsError(
                f"Processes of the portal that was killed on this instance still run after {ORPHANS_END_S:g} s"
                f" ({left}); they may be in the middle of a job: wait for them, or end them with `kill -9`."
            )
    except BlockingIOError as error:
        raise SettingsError(
            f"A portal runs on this instance already{_process_of(instance_dir)}; stop it, or give this one a folder of"
            " its own: GLIOSCOPE_INSTANCE."
        ) from error
    except OSError as error:
        raise unusable(instance_dir, error) from error


def _process_of(instance_dir: Path) -> str:
    """How its portal is ended, in words; empty where its supervisor has not said who it is."""
    try:
        number = int((instance_dir / PID_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    return f" (it ends by Ctrl-C in its terminal, or by `kill {number}`)"


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
