"""Folders of results that are whole or not there: written under a hidden name, renamed when the last file is."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out` that becomes `out` where the block ends well; else it is removed.

    Raises FileExistsError where `out` exists and is not an empty folder: older results are never overwritten or mixed
    with new ones.
    """
    check_is_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.partial-", dir=out.parent) as staging:
        folder = Path(staging) / "results"
        folder.mkdir()
        yield folder
        folder.rename(out)  # onto an empty folder, too (rename(2))


def check_is_free(out: Path) -> None:
    """Raises FileExistsError where `out` exists and is not an empty folder: asked before an hour of work, not after."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(f"{out} exists already; give --out a folder that does not exist yet, or remove it.")
