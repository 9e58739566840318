"""Which of several regions of a DICOM object (segments, ROIs) are the tumor: by their names, or as somebody asked."""

import re
from collections.abc import Sequence

from ml.scans.scan import ScanError

MOST_NAMED, LONGEST_NAME = 8, 32
_TUMOR = re.compile(r"tumou?rs?|lesions?|gtv[pn]?|gliomas?|glioblastoma|gbm|neoplasm", re.IGNORECASE)
# What planning systems make of a tumor, and what only lies beside it: Brain-GTV, GTV+5mm, peritumoral, tumor bed.
_NOT_THE_TUMOR = re.compile(
    r"[-+]|brain|peri|bed|cavity|margin|ring|[pc]tv|prv|healthy|normal|(?:^|[^a-z])(?:no|not|without|minus)(?:[^a-z]|$)",
    re.IGNORECASE,
)
# Parts of a tumor, also by BraTS' letters: one of them is no whole, all of them are.
_PART = re.compile(
    r"enhanc|o?edema|necro|core|infiltrat|(?:^|[^a-z])(?:et|ed|tc|ncr|nec|net)(?:[^a-z]|$)", re.IGNORECASE
)
# A year, or a day without marks between: what is marked at two times is not one tumor.
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)|\d{6}")


def choose_regions(names: Sequence[str], wanted: Sequence[str], what: str) -> tuple[int, ...]:
    """Places of the regions that are the tumor: the wanted ones, the only one, the only one that is called as a tumor,
    several that differ in their number alone (GTV1, GTV2), or where none is, the parts of one (edema, necrosis).

    what: the object and its regions, as a sentence names them. Raises ScanError, with the names, where it is not clear.
    """
    if wanted:
        keys = {_key(name) for name in wanted}
        found = tuple(place for place, name in enumerate(names) if _key(name) in keys)
        if missing := [name for name in wanted if _key(name) not in map(_key, names)]:
            raise ScanError("unreadable", f"The {what} has no region {_shown(missing)}; it has {_shown(names)}.")
        return found
    if not names:
        raise ScanError("unreadable", f"The {what} has 0 regions, and an expert's mask has one: export the tumor's.")
    if len(names) == 1:
        return (0,)
    tumors = [place for place, name in enumerate(names) if names_tumor(name)]
    if len(tumors) == 1 or (tumors and all(_is_numbered(names[place]) for place in tumors)):
        return tuple(tumors)
    parts = [place for place, name in enumerate(names) if _PART.search(name)]
    if len(parts) > 1 and not tumors:
        return tuple(parts)
    raise ScanError(
        "unreadable",
        f"The {what} has {len(names)} regions ({_shown(names)}), and their names do not say clearly which is the tumor:"
        " export the tumor's alone or call it so (GTV); beside an upload name it (“Region”; `region` in the API).",
    )


def _is_numbered(name: str) -> bool:
    """Whether a region is called as a tumor with a number at most, as one of several (GTV1, GTV 2), and no date."""
    return _TUMOR.fullmatch(re.sub(r"[\W\d_]", "", name)) is not None and not _DATE.search(name)


def names_tumor(name: str) -> bool:
    """Whether a region is called as a tumor is, and as the whole of it."""
    return bool(_TUMOR.search(name)) and not _NOT_THE_TUMOR.search(name) and not _PART.search(name)


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


def _shown(names: Sequence[str]) -> str:
    first = ["".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME] for name in names[:MOST_NAMED]]
    more = len(names) - MOST_NAMED
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
