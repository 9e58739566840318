"""File names as they are compared: for searching, and for an order in which slice 2 comes before slice 10."""

import re
import unicodedata

_DIGITS = re.compile(r"\d+")
# Slice numbers, dates and study numbers have fewer digits.
_PADDED_DIGITS = 10
# Each is a condition, and a look at the studies.
MOST_WORDS = 8
# An index takes no longer keys (PostgreSQL: 2,704 bytes); equal ones are told apart by their ids.
_LONGEST_KEY = 400


def search_key(name: str) -> str:
    """Composed and case-folded: `Müller` finds MÜLLER, and the decomposed form in which macOS keeps names."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def words_of(query: str) -> list[str]:
    """The search keys of what is searched for, word by word, each once; of blanks alone they are the one, and behind
    MOST_WORDS the rest is one."""
    text = search_key(query)
    return list(dict.fromkeys(text.split(maxsplit=MOST_WORDS))) or [text]


def path_search_key(path: str) -> str:
    """The search key of a path's end, short enough for an index: a study's folders and the file's name."""
    return search_key(path)[-_LONGEST_KEY:]


def sort_key(name: str) -> str:
    """The search key with its numbers padded, so that texts compare as people count."""
    return _DIGITS.sub(lambda match: match[0].zfill(_PADDED_DIGITS), search_key(name))[:_LONGEST_KEY]
