"""Others' judgment of a DICOM object: dciodvfy of dicom3tools."""

import subprocess
from pathlib import Path


def errors_of(path: Path) -> list[str]:
    """What dciodvfy calls an error; an object that it does not know is one, too."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith(("Error", "error"))]
