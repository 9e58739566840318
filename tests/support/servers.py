"""Real PostgreSQL, Redis and nginx servers for tests: in temporary folders, stopped by their starter."""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from webapp.process.redis_server import server_arguments, server_program

START_S = 30.0
NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = Path(folder) / "redis.sock"
        with running_redis(path):
            yield f"unix://{path}"


@contextmanager
def running_redis(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis on that socket; gives its process, so that a test may kill it."""
    process = subprocess.Popen([server_program(), *server_arguments(path)], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis.from_url(f"unix://{path}")
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.02)
        client.close()
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def nginx_server(program: str, server_block: str) -> Iterator[Path]:
    """An nginx with one `server {...}`, in which FOLDER stands for the folder that is given: for files of its own."""
    # As root it would want to start its workers as somebody else: then it is somebody else itself.
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        temporary = "".join(
            f"{kind}_temp_path {name}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {name}/nginx.pid; error_log {name}/error.log;"
            f"events {{}} http {{ access_log off; {temporary} {server_block.replace('FOLDER', name)} }}"
        )
        if user is not None:
            shutil.chown(folder, user)
        process = subprocess.Popen(
            [program, "-e", f"{name}/error.log", "-p", name, "-c", f"{name}/nginx.conf"], user=user, cwd=name
        )
        try:
            deadline = time.monotonic() + START_S
            while not (folder / "nginx.pid").exists():
                assert process.poll() is None and time.monotonic() < deadline, (folder / "error.log").read_text()
                time.sleep(0.02)
            yield folder
        finally:
            process.terminate()
            process.wait()


def postgres_programs() -> Path | None:
    """The folder with initdb and postgres, or None."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """A PostgreSQL; gives the socket's folder and the user, as a URL's query says them."""
    with restartable_postgres(programs) as server:
        yield server.where


class PostgresServer:
    """A PostgreSQL that a test may stop and start. where: the socket's folder and the user, as a URL's query."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self.where = f"host={folder}&user=glioscope"
        self._programs, self._folder, self._user = programs, folder, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and come back when it answers."""
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder, "-h", "", "-c", "fsync=off"],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for_postgres(self._folder, self._process)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM waits for its clients, SIGINT ends their connections, SIGQUIT is a crash (manual, 18.5)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()


@contextmanager
def restartable_postgres(programs: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL that was started, and is stopped at the end."""
    # PostgreSQL refuses to run as root: then the system's own user of its package runs it.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "glioscope", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=user,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "USER": user or getpass.getuser()},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        server = PostgresServer(programs, Path(folder), user)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGINT)


def create_database(where: str, name: str, *, template: str) -> None:
    """Copy a database of that server, which nobody may be connected to."""
    import psycopg

    with psycopg.connect(f"{where.replace('&', ' ')} dbname=postgres", autocommit=True) as connection:
        # Without fsync, copying the files takes a quarter of what writing them to the log first does.
        how = "STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {how}")


def drop_database(where: str, name: str) -> None:
    """Remove a database and whatever is connected to it: each takes 8 MB, in memory where the server lies there."""
    import psycopg

    with psycopg.connect(f"{where.replace('&', ' ')} dbname=postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _wait_for_postgres(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(f"host={folder} user=glioscope dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.05)
