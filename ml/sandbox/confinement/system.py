"""System calls that Python has no function for."""

import ctypes
import os
import sys

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h

IS_LINUX = sys.platform == "linux"


def call(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """syscall(2). Raises OSError."""
    result = int(_libc().syscall(ctypes.c_long(number), *map(_argument, arguments)))
    if result < 0:
        raise _last_error()
    return result


def forbid_new_privileges() -> None:
    """No program that this process starts can get more rights than it has (prctl(2)). Raises OSError."""
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise _last_error()


def _argument(value: int | ctypes.Array[ctypes.c_char] | None) -> ctypes.c_long | ctypes.Array[ctypes.c_char] | None:
    return ctypes.c_long(value) if isinstance(value, int) else value


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
