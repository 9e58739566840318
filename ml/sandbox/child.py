"""What a forked child of the sandbox does: limits on, files named, all else off, answer requests, end.

The first line that it gets says which files it may use (`ml.sandbox.confinement.Access`); nothing of a file has been
read by then. A request is a JSON line. The answer is a JSON line and, where the entry says so, bytes behind it.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from ml.sandbox.confinement import Access, confine

# What an entry (`ml.sandbox.entries`) does with a request: the answer's line, and the bytes that follow it.
Answer = Callable[[dict[str, Any]], tuple[dict[str, Any], bytes]]

_MAX_REQUEST_BYTES = 64 * 2**20  # the polygons of a COCO image
_MAX_OPEN_FILES = 32
_MOST_DESCRIPTORS = 2**16  # closed by one call of the kernel
_ALARM_GRACE_S = 1.0
# A child waits for a processor, or for a disk: of two cores under a load of 20 it gets a tenth.
_WALL_FACTOR = 12
_LONGEST_WAIT_S = 600.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class ChildLimits:
    """What a child is held to: processor time, so that a busy machine refuses no good file, and time by the clock.

    memory_bytes: address space, all its libraries (190 MB) included. file_bytes: the largest file it may write.
    request_cpu_s, request_wall_s: processor time and wall time of one request, by timers of the child's own.
    life_cpu_s, life_wall_s: of all its requests, by the kernel and by the server's clock; None where only each request
    is limited.
    """

    memory_bytes: int
    file_bytes: int
    request_cpu_s: float
    request_wall_s: float
    life_cpu_s: float | None = None
    life_wall_s: float | None = None

    @classmethod
    def of_one_request(
        cls, memory_bytes: int, file_bytes: int, cpu_s: float, wall_s: float | None = None
    ) -> "ChildLimits":
        """Of a child that answers once: the server's kill comes first; the alarm is for a server that was stopped."""
        wall_s = wall_limit_s(cpu_s) if wall_s is None else wall_s
        return cls(memory_bytes, file_bytes, cpu_s, wall_s + _ALARM_GRACE_S, life_cpu_s=cpu_s, life_wall_s=wall_s)

    @classmethod
    def of_each_request(cls, memory_bytes: int, file_bytes: int, cpu_s: float) -> "ChildLimits":
        """Of a child that answers many times, each within these seconds."""
        return cls(memory_bytes, file_bytes, cpu_s, wall_limit_s(cpu_s))

    def times(self, factor: int) -> "ChildLimits":
        """Of a child that has more to do: its times alone are so many times as long."""
        return replace(
            self,
            request_cpu_s=self.request_cpu_s * factor,
            request_wall_s=self.request_wall_s * factor,
            life_cpu_s=None if self.life_cpu_s is None else self.life_cpu_s * factor,
            life_wall_s=None if self.life_wall_s is None else self.life_wall_s * factor,
        )


def wall_limit_s(cpu_s: float) -> float:
    """How long a child may take by the clock for so much processor time, while others use the machine as well."""
    return min(_WALL_FACTOR * cpu_s, cpu_s + _LONGEST_WAIT_S)


def run_child(connection: socket.socket, answer: Answer, limits: ChildLimits, server_pid: int) -> None:
    """Answer requests until the owner closes its side."""
    _restrict(limits, server_pid)
    _close_others(connection.fileno())
    with connection.makefile("rb") as stream:
        access = stream.readline(_MAX_REQUEST_BYTES)
        if not access:
            return
        try:
            confine(Access.from_json(json.loads(access)))
        except OSError as error:  # the machine's fault: nothing of a file has been read
            connection.sendall(json.dumps({"errno": error.errno or errno.EIO}).encode() + b"\n")
            return
        while line := stream.readline(_MAX_REQUEST_BYTES):
            signal.setitimer(signal.ITIMER_PROF, limits.request_cpu_s)
            signal.setitimer(signal.ITIMER_REAL, limits.request_wall_s)
            header, payload = answer(json.loads(line))
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.sendall(json.dumps(header).encode() + b"\n" + payload)


def memory_limit_mib() -> int:
    """The address space that this process may use."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20


def _restrict(limits: ChildLimits, server_pid: int) -> None:
    """Memory, time, file size and files of this process; the kernel enforces them."""
    _die_with(server_pid)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)  # libraries print pieces of files
    os.close(quiet)
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)  # no handler: a codec that hangs in C never returns to one
    wanted = [
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES, _MAX_OPEN_FILES),
    ]
    if limits.life_cpu_s is not None:  # whole seconds, which a child that a file took over cannot give back
        wanted.append((resource.RLIMIT_CPU, ceil(limits.life_cpu_s), ceil(limits.life_cpu_s) + 1))
    for kind, soft, hard in wanted:
        _, ceiling = resource.getrlimit(kind)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (soft, hard))


def _close_others(connection: int) -> None:
    """Close what it has inherited, but the standard streams and the connection."""
    os.closerange(3, connection)
    os.closerange(connection + 1, _MOST_DESCRIPTORS)


def _die_with(server_pid: int) -> None:
    """Let the kernel kill this process when the server dies, so that its owner hears of it at once (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server_pid:  # it died before that
        os._exit(1)
