"""What to make of files of kinds that are not read in a data set, in sentences."""

from collections.abc import Iterable

from ml.datasets.file_names import ARCHIVE_SUFFIXES
from ml.scans.unread_formats import unread_kinds


def remedies(endings: Iterable[str]) -> str:
    """How the kinds that are not read are converted, each said once; an empty text where nobody knows."""
    suffixes = set(endings)
    kinds = unread_kinds(suffixes)
    archives = sorted(suffixes & {*ARCHIVE_SUFFIXES} - {suffix for endings in kinds.values() for suffix in endings})
    unpack = f" {' and '.join(archives)}: an archive, which is not looked into. Unpack it." if archives else ""
    return unpack + "".join(
        f" {' and '.join(endings)}: {entry.name}. {entry.remedy}." for entry, endings in kinds.items()
    )
