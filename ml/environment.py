"""The project's own Python: `python -m ml` finds it, whichever Python was asked. Standard library alone."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# What every command imports.
NEEDED = ("numpy", "PIL", "scipy", "tifffile", "tqdm")
ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv"


def enter() -> None:
    """Become the Python of the environment that `make install` sets up, unless this one is another environment's.

    Ends the process with a sentence where there is none and packages are missing.
    """
    if sys.prefix != sys.base_prefix:
        return
    python = ENVIRONMENT / "bin" / "python"
    if python.is_file():
        os.execv(python, [str(python), "-m", "ml", *sys.argv[1:]])  # noqa: S606 - replaced, not started: one process
    missing = next((name for name in NEEDED if find_spec(name) is None), None)
    if missing is not None:
        sys.exit(
            f"{missing} is not installed: run `make install` first (`make install-train` to train and to package)."
        )
