"""Bytecode of the tests and of what they import: written once, read by every process that a test starts."""

import os
import sys
from collections.abc import MutableMapping


def keep_bytecode(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let this process and its children write it, whatever the environment says.

    Without it each of the hundreds of processes compiles the portal's modules anew: half of what their starts take.
    """
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
