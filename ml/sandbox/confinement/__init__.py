"""What the kernel holds a child of the sandbox to, whatever its file makes it do: Linux alone.

Limits of memory and time (`ml.sandbox.child`) stop a file that is merely broken. These stop one that has taken its
reader over: it can open the files of its request and no other, can open no connection, start no process and signal
nobody.
"""

from ml.sandbox.confinement import landlock, seccomp
from ml.sandbox.confinement.access import Access

__all__ = ["Access", "confine", "missing", "prepare"]


def confine(access: Access) -> None:
    """Hold this process and its threads to the files of `access`, for good. What the kernel lacks is left out.

    Raises OSError where a path is not there, or the kernel refuses what it offers.
    """
    landlock.restrict(access)
    seccomp.restrict()


def prepare() -> None:
    """Find out once, before children are forked, what each of them would ask for by itself."""
    landlock.version()
    landlock.libraries()
    seccomp.is_available()


def missing() -> tuple[str, ...]:
    """The means that this kernel or processor does not offer, in words; empty where a child is held by all of them."""
    lacks = []
    if not landlock.version():
        lacks.append("Landlock (Linux 5.13, enabled at boot)")
    if not seccomp.is_available():
        lacks.append("a seccomp filter (Linux on x86-64)")
    return tuple(lacks)
