"""Visitors of a public demonstration: owners without an account, by a cookie of their browser, and with no row."""

import re
import secrets

# Owners of this form, and no other, have their scans deleted by time.
PREFIX = "visitor-"
_ID = re.compile(rf"{PREFIX}[0-9a-f]{{24}}")


def new_visitor() -> str:
    """An owner's id that nobody has: 96 random bits, and the cookie that holds it is signed."""
    return PREFIX + secrets.token_hex(12)


def is_visitor(text: object) -> bool:
    """Whether this is the id of a visitor."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
