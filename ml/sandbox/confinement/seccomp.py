"""System calls: the kernel answers those of a list, and refuses all others with EPERM. seccomp(2), x86-64.

The list is what readers of images were seen to need, and what Python and glibc need to start threads and end. No call
of it makes a socket, a process or a program; none reaches another process.
"""

import ctypes
import os
import platform
import struct
from functools import cache
from pathlib import Path

from ml.sandbox.confinement import system

# linux/seccomp.h, linux/filter.h, linux/audit.h; numbers of arch/x86/entry/syscalls/syscall_64.tbl.
_SECCOMP, _SET_FILTER = 317, 1
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_X86_64 = 0xC000003E
_LOAD, _EQUALS, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000

_FILES = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "lseek": 8, "pread64": 17,
    "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "dup": 32, "dup2": 33, "fsync": 74, "ftruncate": 77,
    "getcwd": 79, "mkdir": 83, "readlink": 89, "statfs": 137, "fstatfs": 138, "getdents64": 217, "fadvise64": 221,
    "openat": 257, "mkdirat": 258, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "utimensat": 280,
    "fallocate": 285, "dup3": 292, "statx": 332, "faccessat2": 439,
}  # fmt: skip
_MEMORY = {"mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28}
_OWNER = {"poll": 7, "select": 23, "sendto": 44, "recvfrom": 45, "shutdown": 48, "ppoll": 271}
_THREADS = {
    "sched_yield": 24, "gettid": 186, "futex": 202, "sched_getaffinity": 204, "set_robust_list": 273, "rseq": 334,
}  # fmt: skip
_SELF = {
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "nanosleep": 35, "setitimer": 38, "getpid": 39,
    "exit": 60, "uname": 63, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100,
    "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131, "time": 201,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "getrandom": 318,
}  # fmt: skip
_ALLOWED = _FILES | _MEMORY | _OWNER | _THREADS | _SELF

# Allowed with some arguments alone.
_CLONE, _CLONE3, _KILL_CALL, _TGKILL, _IOCTL, _FCNTL, _PRLIMIT = 56, 435, 62, 234, 16, 72, 302
_CLONE_THREAD, _CLONE_NAMESPACES = 0x10000, 0x7E020000
_TCGETS, _FIOCLEX = 0x5401, 0x5451  # is it a terminal; close on exec
_DUPLICATE, _GET_FD, _SET_FD, _GET_FLAGS, _DUPLICATE_CLOEXEC = 0, 1, 2, 3, 1030


@cache
def is_available() -> bool:
    """Whether this is a kernel and a processor that the list is written for."""
    return system.IS_LINUX and platform.machine() == "x86_64" and Path("/proc/sys/kernel/seccomp").exists()


def restrict() -> None:
    """Refuse all other calls to this process and its threads, for good. Raises OSError."""
    if not is_available():
        return
    system.forbid_new_privileges()
    code = _program(os.getpid())
    instructions = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(instructions))
    system.call(_SECCOMP, _SET_FILTER, 0, ctypes.create_string_buffer(filter_, len(filter_)))


def _program(pid: int) -> bytes:
    """The filter as a program of the classic Berkeley packet filter; each test either returns or falls through."""
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUALS, _X86_64, if_true=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        # Calls of the x32 mode have numbers of their own.
        *_answer(_AT_LEAST, _X32, _ERRNO | _EPERM),
        # glibc falls back to clone, whose flags a filter can see.
        *_answer(_EQUALS, _CLONE3, _ERRNO | _ENOSYS),
    ]
    for number in _ALLOWED.values():
        steps += _answer(_EQUALS, number, _ALLOW)
    steps += _a_new_thread()
    for number in (_KILL_CALL, _TGKILL):  # abort() and what a debugger would: of itself alone
        steps += _with_argument(number, 0, _EQUALS, (pid,))
    steps += _with_argument(_IOCTL, 1, _EQUALS, (_TCGETS, _FIOCLEX))
    steps += _with_argument(_FCNTL, 1, _EQUALS, (_DUPLICATE, _GET_FD, _SET_FD, _GET_FLAGS, _DUPLICATE_CLOEXEC))
    steps += _question_of_limits()
    steps.append(_step(_RETURN, _ERRNO | _EPERM))
    return b"".join(steps)


def _answer(test: int, value: int, result: int) -> list[bytes]:
    """Where the test of what is loaded holds, this is the result."""
    return [_step(test, value, if_false=1), _step(_RETURN, result)]


def _with_argument(number: int, place: int, test: int, values: tuple[int, ...]) -> list[bytes]:
    """A call that is allowed where one of the values fits the low half of an argument, and refused otherwise.

    The kernel takes these arguments as 32 bits: the high half means nothing.
    """
    inside = [_step(_LOAD, _ARGUMENTS + 8 * place)]
    for value in values:
        inside += _answer(test, value, _ALLOW)
    inside.append(_step(_RETURN, _ERRNO | _EPERM))
    return [_step(_EQUALS, number, if_false=len(inside)), *inside]


def _a_new_thread() -> list[bytes]:
    """clone with the flag of threads, and none of namespaces."""
    inside = [
        _step(_LOAD, _ARGUMENTS),
        *_answer(_HAS_BITS, _CLONE_NAMESPACES, _ERRNO | _EPERM),
        *_answer(_HAS_BITS, _CLONE_THREAD, _ALLOW),
        _step(_RETURN, _ERRNO | _EPERM),
    ]
    return [_step(_EQUALS, _CLONE, if_false=len(inside)), *inside]


def _question_of_limits() -> list[bytes]:
    """prlimit64 that asks (its new limit is a null pointer) and does not set."""
    inside = []
    for half in (0, 4):
        inside += [
            _step(_LOAD, _ARGUMENTS + 8 * 2 + half),
            _step(_EQUALS, 0, if_true=1),
            _step(_RETURN, _ERRNO | _EPERM),
        ]
    inside.append(_step(_RETURN, _ALLOW))
    return [_step(_EQUALS, _PRLIMIT, if_false=len(inside)), *inside]


def _step(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter: the jumps count from the next step."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
