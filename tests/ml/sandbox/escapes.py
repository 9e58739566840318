"""A child that its file has taken over: it tries what the file names, `ATTEMPT ARGUMENT`, and says how that ended.

As a reader of the decoder (`read`), as an entry in place of any other (`answer`), and as a program, which makes the
same attempts without a sandbox, so that a test sees that each is a real one.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.scans import Limits, Scan, ScanError

_LIBC = ctypes.CDLL(None, use_errno=True)


def read(path: Path, _limits: Limits) -> Scan:
    """Raises ScanError always, its sentence what `attempt` says."""
    raise ScanError("unreadable", attempt(path.read_text()))


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What `attempt` says, in the fields in which the readers of data sets and archives give their errors."""
    text = request["text"] if "text" in request else Path(request.get("image") or request["archive"]).read_text()
    is_check = "mask" in request and "patient" not in request
    said = attempt(text)
    return {"image_error": said} if is_check else {"code": "unreadable", "message": said}, b""


def attempt(text: str) -> str:
    """`escaped` or `held`, and what came of it."""
    name, _, argument = text.partition(" ")
    try:
        return f"escaped {ATTEMPTS[name](argument)!r}"
    except OSError as error:
        return f"held {type(error).__name__} {error.errno}"
    except ValueError:  # what Python makes of a refused setrlimit
        return "held ValueError"


def _call(number: int, *arguments: Any) -> int:
    wide = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result = _LIBC.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return int(result)


def _write_beside(folder: str) -> str:
    Path(folder, "planted").write_text("planted")
    return "planted"


def _link(folder: str) -> str:
    Path(folder, "link").symlink_to("/etc/passwd")
    return "linked"


def _remove(path: str) -> str:
    Path(path).unlink()
    return "removed"


def _rename(path: str) -> str:
    Path(path).rename(f"{path}.moved")
    return "moved"


def _overwrite(path: str) -> str:
    with Path(path).open("r+b") as file:
        file.write(b"overwritten")
    return "overwritten"


def _truncate(path: str) -> str:
    os.truncate(path, 0)
    return "emptied"


def _change_mode(path: str) -> str:
    Path(path).chmod(0o777)
    return "changed"


def _connect_tcp(port: str) -> str:
    with socket.create_connection(("127.0.0.1", int(port)), 2):
        return "connected"


def _connect_unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{path[1:]}" if path.startswith("@") else path)
        return "connected"


def _send_datagram(port: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"secret", ("127.0.0.1", int(port)))
    return "sent"


def _run_shell(_argument: str) -> str:
    return subprocess.run(["/bin/sh", "-c", "echo shell"], capture_output=True, text=True, check=True).stdout.strip()


def _exec(_argument: str) -> str:
    os.execv("/bin/true", ["true"])


def _exec_from_memory(_argument: str) -> str:
    descriptor = os.memfd_create("program")
    os.write(descriptor, Path("/bin/true").read_bytes())
    return f"made {descriptor}"


def _outlive(path: str) -> str:
    """A grandchild that leaves its session, and writes after its parent is gone."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.2)
        Path(path).write_text("outlived")
        os._exit(0)
    return "forked"


def _signal_owner(pid: str) -> str:
    os.kill(int(pid), signal.SIGCONT)
    return "signaled"


def _trace_owner(pid: str) -> str:
    # PTRACE_SEIZE asks for the same right as PTRACE_ATTACH and stops nobody: a process that is let go before it has
    # stopped would stop afterwards, for ever.
    _call(101, 0x4206, int(pid), 0, 0)
    return "traced"


def _read_owners_memory(pid: str) -> str:
    with Path(f"/proc/{pid}/mem").open("rb") as file:
        return f"opened {file.fileno()}"


def _read_owners_memory_by_call(pid: str) -> str:
    """process_vm_readv with no bytes asks for the right alone."""
    return f"read {_call(310, int(pid), None, 0, None, 0, 0)}"


def _survive_the_server(_argument: str) -> str:
    _call(157, 1, 0, 0, 0, 0)  # prctl, PR_SET_PDEATHSIG
    return "prctl"


def _raise_limits(_argument: str) -> str:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 32))
    return "set"


ATTEMPTS: dict[str, Callable[[str], str]] = {
    "read": lambda path: Path(path).read_text(),
    "list": lambda folder: str(len(list(Path(folder).iterdir()))),
    "write_beside": _write_beside,
    "link": _link,
    "remove": _remove,
    "rename": _rename,
    "overwrite": _overwrite,
    "truncate": _truncate,
    "change_mode": _change_mode,
    "connect_tcp": _connect_tcp,
    "connect_unix": _connect_unix,
    "send_datagram": _send_datagram,
    "run_shell": _run_shell,
    "exec": _exec,
    "exec_from_memory": _exec_from_memory,
    "outlive": _outlive,
    "signal_owner": _signal_owner,
    "trace_owner": _trace_owner,
    "read_owners_memory": _read_owners_memory,
    "read_owners_memory_by_call": _read_owners_memory_by_call,
    "survive_the_server": _survive_the_server,
    "raise_limits": _raise_limits,
    "unshare": lambda _argument: str(_call(272, 0x10000000)),  # CLONE_NEWUSER
    "ring": lambda _argument: str(_call(425, 1, ctypes.create_string_buffer(256))),  # io_uring_setup
    "shared_memory": lambda _argument: str(_call(29, 0x51, 4096, 0o1666)),  # shmget
    "key": lambda _argument: str(_call(250, 0, -3, 1)),  # keyctl, the session's keyring
    "socket_pair": lambda _argument: str(len(socket.socketpair())),
}


def _try_all(attempts: list[str]) -> dict[str, str]:
    """What each attempt comes to in a process of its own."""
    said = {}
    for text in attempts:
        ours, theirs = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(theirs, attempt(text).encode())
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as stream:
            said[text] = stream.read() or "escaped into another program"
        os.waitpid(pid, 0)
    return said


if __name__ == "__main__":
    json.dump(_try_all(json.load(sys.stdin)), sys.stdout)
