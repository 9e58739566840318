"""Which of the operating system's errors are the machine's, and pass: a job is tried again after them."""

import errno

from ml.sandbox.launcher import SandboxError
from webapp.domain.errors import DecoderUnavailable, PortalError, StorageFull, StorageUnavailable
from webapp.domain.storage.interface import FULL

# No process, memory or file handle to be had; a disk or a network share that does not answer, or is read-only.
PASSING = (
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.EROFS,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
)


def machine_fault(error: OSError) -> PortalError | None:
    """What the machine has not got right now; None for an error that waiting does not mend, as a missing template."""
    if isinstance(error, SandboxError):
        return DecoderUnavailable("No process can be had that reads files.")
    if error.errno in FULL:
        return StorageFull("The disk has no room left; delete scans or free disk space.")
    if error.errno in PASSING:
        return StorageUnavailable("The machine has no process, memory or disk for this right now.")
    return None
