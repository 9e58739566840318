"""Sentences whose words between backticks are code, as HTML: terminals and the API show the backticks themselves."""

from markupsafe import Markup, escape


def marked(text: str) -> Markup:
    """The sentence, escaped, with `<code>` in place of the backticks; as it is where one of them has no other."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if place % 2 else part for place, part in enumerate(parts))
