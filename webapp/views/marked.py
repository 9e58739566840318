"""Sentences as HTML: words between backticks are code, which terminals and the API show as they are, and a percent sign
stays on the line of its number."""

import re

from markupsafe import Markup, escape

_PERCENT = re.compile(r"(?<=\d) %")


def marked(text: str) -> Markup:
    """The sentence, escaped, with `<code>` in place of the backticks; as it is where one of them has no other."""
    parts = _PERCENT.sub("\u00a0%", text).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if place % 2 else part for place, part in enumerate(parts))
