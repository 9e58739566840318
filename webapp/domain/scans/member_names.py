"""Names of the files and folders that scans are written to: such as every system takes, each once."""

import re

from webapp.domain.database.search_keys import search_key

# File systems take 255 bytes; an ending and a number follow.
LONGEST_BYTES = 200
# Names that Windows keeps for devices, whatever their ending (its manual, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


class MemberNames:
    """Names that were given away, in any case and form of Unicode of their letters: macOS takes `é` for `e` with its
    accent behind it, and Windows `A` for `a`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def add(self, name: str) -> None:
        """Take a name that may have been taken before."""
        self._taken.add(search_key(name))

    def take(self, name: str) -> str:
        """The name; a number follows where it was taken before."""
        free, number = name, 1
        while search_key(free) in self._taken:
            number += 1
            free = f"{name} ({number})"
        self.add(free)
        return free


def clean_member(name: str, longest_bytes: int = LONGEST_BYTES) -> str:
    """A name without what leads out of a folder, or is no part of a file's name on some system."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name)
    plain = plain.encode()[:longest_bytes].decode(errors="ignore").strip(" .")
    return f"_{plain}" if not plain or _DEVICES.match(plain) else plain
