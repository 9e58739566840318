"""A study's tags on one line, as people write them: between commas, and in double quotes where a tag has one itself.

What `line_of` writes `tags_of` reads as the same tags, so that a form changes nothing that nobody changed.
"""

import re
from collections.abc import Iterable

# A tag in quotes up to the next comma, a quote in it doubled; else whatever there is up to that.
_TAG = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|\Z)')


def line_of(tags: Iterable[str]) -> str:
    """Tags on one line."""
    return ", ".join(_quoted(tag) if "," in tag or tag.startswith('"') else tag for tag in tags)


def tags_of(line: str) -> list[str]:
    """The tags of a line; empty ones among them."""
    tags, place = [], 0
    while place < len(line) and (found := _TAG.match(line, place)):
        quoted, plain = found.groups()
        tags.append(plain.strip() if quoted is None else quoted.replace('""', '"'))
        place = found.end()
    return tags


def _quoted(tag: str) -> str:
    doubled = tag.replace('"', '""')
    return f'"{doubled}"'
