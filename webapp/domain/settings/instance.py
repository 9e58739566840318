"""What the instance folder provides where a setting does not: the secret key, and a socket for the embedded Redis."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from webapp.domain.settings.parsing import SHORTEST_SECRET, SettingsError

# sun_path holds 108 bytes, the closing zero included (man 7 unix).
LONGEST_SOCKET_PATH = 107


def embedded_socket(instance_dir: Path) -> Path:
    """A socket in the instance folder or, where that path is too long for a socket, in the machine's temporary one."""
    path = instance_dir / "redis.sock"
    if len(bytes(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(instance_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"glioscope-{os.getuid()}-{digest}" / "redis.sock"


def stored_secret(instance_dir: Path) -> str:
    """The secret key of this instance, made at the first start and kept with mode 0600. Raises SettingsError."""
    try:
        secret = _read_or_make(instance_dir)
    except OSError as error:
        raise unusable(instance_dir, error) from error
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"The stored secret key is shorter than {SHORTEST_SECRET} characters; delete its file.")
    return secret


def unusable(instance_dir: Path, error: OSError) -> SettingsError:
    """The sentence for an instance folder that cannot be read or written."""
    return SettingsError(
        f"The instance folder {instance_dir} cannot be used ({error.strerror}: {error.filename}); make it, and what is"
        " in it, writable for this user, or set GLIOSCOPE_INSTANCE to a folder that is."
    )


def _read_or_make(instance_dir: Path) -> str:
    path = instance_dir / "secret_key"
    instance_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        # Written under a name of its own and linked when complete: processes that start at once all read one secret.
        own = instance_dir / f"secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            path.hardlink_to(own)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    return path.read_text(encoding="ascii").strip()
