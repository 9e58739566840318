"""Folders of model packages: how they are found, and whether their files are those that their cards describe."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ml.cards.card import Card
from ml.cards.errors import PackageFileError, PackageNotFoundError
from ml.cards.reading import CARD_FILE, NAME_PATTERN
from ml.digests import sha256_of

WEIGHTS_FILE = "model.safetensors"
INT8_GRAPH_FILE = "int8.xml"
INT8_WEIGHTS_FILE = "int8.bin"
OOD_FILE = "familiarity.npz"
SEQUENCES_FILE = "sequences.npz"
SLICES_FILE = "training_slices.npz"


def list_packages(directories: Iterable[Path]) -> tuple[Path, ...]:
    """The folders that hold a card, by name; of two with one name the first directory's is listed."""
    packages: dict[str, Path] = {}
    for directory in directories:
        if not directory.is_dir():
            continue
        for folder in sorted(directory.iterdir()):
            if NAME_PATTERN.fullmatch(folder.name) and (folder / CARD_FILE).is_file():
                packages.setdefault(folder.name, folder)
    return tuple(packages[name] for name in sorted(packages))


def find_package(name: str, directories: Sequence[Path]) -> Path:
    """The first folder called `name` with a card in it. Raises PackageNotFoundError."""
    if NAME_PATTERN.fullmatch(name):
        for directory in directories:
            if (directory / name / CARD_FILE).is_file():
                return directory / name
    known = ", ".join(folder.name for folder in list_packages(directories)) or "none"
    itself = next((folder for folder in directories if (folder / CARD_FILE).is_file()), None)
    advice = f" {itself} is a package itself: name the folder that it lies in." if itself is not None else ""
    raise PackageNotFoundError(f"There is no model package called {name[:80]!r}; packages found: {known}.{advice}")


def path_advice(name: str) -> str:
    """What to do where an operator names a file or a folder that is no package, such as a checkpoint of training; empty
    where there is no such path. Not for names that come from elsewhere: it looks at the file system."""
    path = Path(name)
    checkpoints = sorted(path.glob("*.pth")) if path.is_dir() else [path] if path.is_file() else []
    if checkpoints:
        return (
            f" {name} is no package but {'a run, which has checkpoints' if path.is_dir() else 'a file'}: make a package"
            f" of a checkpoint with `python -m ml package {checkpoints[0]} --out FOLDER`."
        )
    if (path / CARD_FILE).is_file():
        return f" {name} is a package itself: name {path.resolve().name}, and the folder that it lies in."
    return ""


def card_sha256(folder: Path) -> str:
    """The digest of a package's card, which names those of its other files: another package has another one.

    Raises OSError.
    """
    return sha256_of(folder / CARD_FILE)


def verify_files(folder: Path, card: Card, names: Iterable[str] | None = None) -> None:
    """Check that the named files (default: all on the card) are there and have the card's length and sha256.

    Raises PackageFileError, which names the file.
    """
    for name in card.files if names is None else names:
        path, expected = folder / name, card.files.get(name)
        if expected is None:
            raise PackageFileError(
                f"The package {card.name} was made without {name}; make it again with `python -m ml package`"
                f"{' --calibrate FOLDER' if name.startswith('int8') else ''}."
            )
        if not path.is_file():
            raise PackageFileError(
                f"{name} of the package {card.name} is not in its folder; restore it, or make the package again from"
                " its checkpoint with `python -m ml package`."
            )
        if path.stat().st_size != expected.bytes or sha256_of(path) != expected.sha256:
            raise PackageFileError(
                f"{name} of the package {card.name} is not the file that its card describes (its length or sha256"
                " differs); restore the package."
            )
