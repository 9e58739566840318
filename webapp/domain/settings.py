"""The settings of a portal, read from the environment in this one place.

Every setting has a default that runs the whole product on one machine. `docs/settings.md` lists them; a test fails
where a setting is missing there.
"""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PROJECT_ROOT = Path(__file__).resolve().parents[2]

# sun_path holds 108 bytes, the closing zero included (man 7 unix).
LONGEST_SOCKET_PATH = 107

SHORTEST_SECRET = 32

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class SettingsError(Exception):
    """A setting has a value that cannot work; the message names the variable, the value and the remedy."""


@dataclass(frozen=True)
class Settings:
    """One portal's settings. Sizes are in bytes where a name ends in `_bytes`, times in seconds where in `_s`."""

    instance_dir: Path
    database_url: str
    redis_url: str
    has_embedded_redis: bool
    storage: str
    secret_key: str = field(repr=False)
    auth: str
    bind: str
    allowed_hosts: tuple[str, ...]
    model_directories: tuple[Path, ...]
    default_model: str
    engine: str
    worker_threads: int | None
    max_upload_bytes: int
    max_files_per_upload: int
    max_slices: int
    decode_timeout_s: float
    decode_memory_bytes: int
    # A lease of three heartbeats survives two lost ones; a dead worker's job is back in the queue within 30 s.
    lease_s: float
    heartbeat_s: float
    sweep_s: float
    max_attempts: int
    # 512 slices at 60 ms are 31 s; ten times that is a hang and not a long job.
    job_timeout_s: float
    evaluation_roots: tuple[Path, ...]
    # Cases of one task: seconds of work, so that workers share even a small evaluation and a crash costs little.
    evaluation_chunk: int
    # Checking or adding up 100,000 files takes minutes.
    evaluation_timeout_s: float
    max_archive_bytes: int
    max_archive_files: int
    max_unpacked_bytes: int

    @property
    def socket_path(self) -> Path | None:
        """Where the embedded Redis listens, or None where the broker is somebody else's."""
        return Path(self.redis_url.removeprefix("unix://")) if self.has_embedded_redis else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings. Raises SettingsError."""
        read = _Reader(environ)
        instance_dir = Path(read.text("GLIOSCOPE_INSTANCE", str(PROJECT_ROOT / "instance"))).absolute()
        redis_url = read.text("REDIS_URL", "")
        lease_s, heartbeat_s = read.number("GLIOSCOPE_LEASE_S", 15), read.number("GLIOSCOPE_HEARTBEAT_S", 5)
        if heartbeat_s > lease_s / 2:
            raise SettingsError(
                f"GLIOSCOPE_HEARTBEAT_S is {heartbeat_s:g}; it must be at most half of GLIOSCOPE_LEASE_S, {lease_s:g}."
            )
        return cls(
            instance_dir=instance_dir,
            database_url=_database_url(read.text("DATABASE_URL", f"sqlite:///{instance_dir / 'glioscope.sqlite3'}")),
            redis_url=redis_url or f"unix://{_embedded_socket(instance_dir)}",
            has_embedded_redis=not redis_url,
            storage=_storage(read.text("GLIOSCOPE_STORAGE", str(instance_dir / "storage"))),
            secret_key=read.secret("GLIOSCOPE_SECRET_KEY") or _stored_secret(instance_dir),
            auth=read.choice("GLIOSCOPE_AUTH", "local", ("local",)),
            bind=read.text("GLIOSCOPE_BIND", "127.0.0.1:8000"),
            allowed_hosts=LOCAL_HOSTS + read.words("GLIOSCOPE_ALLOWED_HOSTS", ()),
            model_directories=read.folders("GLIOSCOPE_MODELS", PROJECT_ROOT / "ml" / "weights"),
            default_model=read.text("GLIOSCOPE_MODEL", "unet-vgg16-lgg"),
            engine=read.choice("GLIOSCOPE_ENGINE", "auto", ("auto", "torch", "openvino")),
            worker_threads=read.whole("GLIOSCOPE_WORKER_THREADS", 0, least=0) or None,
            max_upload_bytes=read.whole("GLIOSCOPE_MAX_UPLOAD_MB", 100) * 1_000_000,
            max_files_per_upload=read.whole("GLIOSCOPE_MAX_FILES", 100),
            max_slices=read.whole("GLIOSCOPE_MAX_SLICES", 512),
            decode_timeout_s=read.number("GLIOSCOPE_DECODE_TIMEOUT_S", 10),
            decode_memory_bytes=read.whole("GLIOSCOPE_DECODE_MEMORY_MB", 1024) * 1_048_576,
            lease_s=lease_s,
            heartbeat_s=heartbeat_s,
            sweep_s=read.number("GLIOSCOPE_SWEEP_S", 5),
            max_attempts=read.whole("GLIOSCOPE_MAX_ATTEMPTS", 3),
            job_timeout_s=read.number("GLIOSCOPE_JOB_TIMEOUT_S", 300),
            evaluation_roots=read.folders("GLIOSCOPE_EVALUATION_ROOTS", instance_dir / "datasets"),
            evaluation_chunk=read.whole("GLIOSCOPE_EVALUATION_CHUNK", 64),
            evaluation_timeout_s=read.number("GLIOSCOPE_EVALUATION_TIMEOUT_S", 3600),
            max_archive_bytes=read.whole("GLIOSCOPE_MAX_ARCHIVE_MB", 2000) * 1_000_000,
            max_archive_files=read.whole("GLIOSCOPE_MAX_ARCHIVE_FILES", 50000),
            max_unpacked_bytes=read.whole("GLIOSCOPE_MAX_UNPACKED_MB", 8000) * 1_000_000,
        )


@dataclass(frozen=True)
class _Reader:
    """Typed reading of one environment; an empty variable counts as not set."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name, "").strip() or default

    def secret(self, name: str) -> str:
        value = self.text(name, "")
        if 0 < len(value) < SHORTEST_SECRET:
            raise SettingsError(f"{name} has {len(value)} characters; it must have at least {SHORTEST_SECRET}.")
        return value

    def words(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.text(name, "").replace(",", " ").split()) or default

    def folders(self, name: str, default: Path) -> tuple[Path, ...]:
        return tuple(Path(word).absolute() for word in self.text(name, str(default)).split(os.pathsep) if word)

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; it must be one of: {', '.join(allowed)}.")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not 0 < number < 1e9:
            raise SettingsError(f"{name} is {value!r}; it must be a number above 0.")
        return number

    def whole(self, name: str, default: int, *, least: int = 1) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or len(value) > 10 or not least <= int(value) <= 10**9:
            raise SettingsError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
        return int(value)


def _database_url(url: str) -> str:
    """The URL with the driver that is installed: `postgres://` and `postgresql://` mean psycopg 3."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("sqlite", "postgres", "postgresql"):
        raise SettingsError("DATABASE_URL must begin with sqlite:///, or with postgresql://.")
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def _storage(value: str) -> str:
    if "://" in value:
        raise SettingsError("GLIOSCOPE_STORAGE must be a folder; object stores are not supported yet.")
    return str(Path(value).absolute())


def _embedded_socket(instance_dir: Path) -> Path:
    """A socket in the instance folder or, where that path is too long for a socket, in the machine's temporary one."""
    path = instance_dir / "redis.sock"
    if len(bytes(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(instance_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"glioscope-{os.getuid()}-{digest}" / "redis.sock"


def _stored_secret(instance_dir: Path) -> str:
    """The secret of this instance, made at the first start and kept with mode 0600."""
    path = instance_dir / "secret_key"
    instance_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Written whole under a name of its own, then linked: of two processes starting at once, both read one secret.
        own = instance_dir / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            path.hardlink_to(own)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    secret = path.read_text(encoding="ascii").strip()
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"The stored secret key is shorter than {SHORTEST_SECRET} characters; delete its file.")
    return secret


def check_bind(auth: str, address: tuple[str, int] | str) -> None:
    """Refuse an address that others can reach while there are no users. Raises SettingsError.

    address: host and port, or the path of a Unix socket, which only this machine reaches.
    """
    if isinstance(address, str):
        return
    host = address[0].strip("[]")
    if auth == "local" and host not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError(
            f"The portal will not listen on {host}: without users, anybody there could read and delete scans. "
            "Bind 127.0.0.1, and put a proxy with a login in front of it where others need it."
        )
