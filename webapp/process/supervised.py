"""A process of `make run`: it ends when its supervisor is killed, and holds the instance as long as it lives.

`python -m webapp.process.supervised MODULE ...` becomes `python -m MODULE ...`.
"""

import ctypes
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webapp.domain.settings import Settings

# Of <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
HOLDERS = "processes.lock"


def main() -> None:
    """Join the instance, then become the module's process."""
    supervisor = os.getppid()
    if sys.platform == "linux":
        # SIGTERM when the supervisor dies, kept through exec (man 2 PR_SET_PDEATHSIG): each ends as it is stopped.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            sys.exit("The supervisor has ended.")
    handle = _open(Settings.of_process().instance_dir)
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.set_inheritable(handle, True)
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606 - replaced, not started: one process


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = _open(folder)
    try:
        yield handle
    finally:
        os.close(handle)


def wait_for_end(folder: Path, seconds: float) -> bool:
    """Wait until no process of an earlier supervisor lives; whether that came to be. Raises OSError."""
    with _opened(folder) as handle:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.1)


def holders(folder: Path) -> list[int]:
    """The processes that hold the instance, as far as the system says (man 5 proc_locks)."""
    try:
        inode = (folder / HOLDERS).stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return []
    return sorted({int(pid) for pid in re.findall(rf" FLOCK .* (\d+) \S+:{inode} ", locks)})


def _open(folder: Path) -> int:
    return os.open(folder / HOLDERS, os.O_RDWR | os.O_CREAT, 0o600)


if __name__ == "__main__":
    main()
