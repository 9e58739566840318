"""Files: the kernel opens those of a list, and no other. https://docs.kernel.org/userspace-api/landlock.html"""

import ctypes
import errno
import os
import struct
import sysconfig
from functools import cache
from pathlib import Path
from stat import S_ISDIR

from ml.sandbox.confinement import system
from ml.sandbox.confinement.access import Access

# Numbers of the calls on every processor, and of linux/landlock.h.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# By version: how many rights of files there are, and whether TCP, and signals and abstract sockets, can be forbidden.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_RIGHTS = 16
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_TCP = 0b11  # bind and connect
_SCOPES = 0b11  # abstract sockets and signals

_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _MAKE_DIR | _MAKE_REG

_CODE = Path(__file__).resolve().parents[2]  # the package `ml`
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/urandom")


@cache
def version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    if not system.IS_LINUX:
        return 0
    try:
        return system.call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:  # not built in, or not enabled at boot
        return 0


def restrict(access: Access) -> None:
    """Hold this process to `access`, and to reading the libraries that it runs on. Raises OSError."""
    if not (found := version()):
        return
    system.forbid_new_privileges()
    handled = (1 << _RIGHTS.get(found, _ALL_RIGHTS)) - 1
    attributes = struct.pack(
        "=3Q", handled, _TCP if found >= _TCP_SINCE else 0, _SCOPES if found >= _SCOPES_SINCE else 0
    )
    # Older kernels know fewer fields; they take more where those are 0.
    rules = system.call(_CREATE_RULESET, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    try:
        for path in (*libraries(), *_DEVICES):
            _allow(rules, path, _READ & handled, may_be_missing=True)
        for path in access.reads:  # the reader finds out what is not there, and says of which file
            _allow(rules, path, _READ & handled, may_be_missing=True)
        for path in access.writes:
            _allow(rules, path, _WRITE & handled)
        system.call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


@cache
def libraries() -> tuple[str, ...]:
    """Where code lies that may be imported late: never the folder of the project, where an instance's data may lie."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*sorted(paths), str(_CODE), *_SYSTEM_LIBRARIES)


def _allow(rules: int, path: str, rights: int, *, may_be_missing: bool = False) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if may_be_missing and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise
    try:
        if not S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        system.call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(descriptor)
