"""The sandbox's own fault as the portal's error: it cannot be started or kept, whatever the file is."""

from collections.abc import Iterator
from contextlib import contextmanager

from ml.sandbox.launcher import SandboxError
from webapp.domain.errors import DecoderUnavailable


@contextmanager
def sandbox_errors(message: str = "Files cannot be read right now; try again in a few seconds.") -> Iterator[None]:
    """Turn a SandboxError into DecoderUnavailable.

    Within `storage.interface.translated_errors`: a SandboxError is an OSError, and would pass for the storage's.
    """
    try:
        yield
    except SandboxError as error:
        raise DecoderUnavailable(message) from error
