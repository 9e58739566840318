"""The page that asks before something is done that cannot be undone, and the answer to it."""

from collections.abc import Iterable, Sequence

from flask import render_template, request

_FIELD, _YES = "confirmed", "yes"
# So many names tell a reader what is about to go; the rest is counted.
_NAMES_SHOWN = 10


def is_confirmed() -> bool:
    """Whether this request comes from the page that asks."""
    return request.form.get(_FIELD) == _YES


def ask(
    title: str,
    message: str,
    label: str,
    *,
    action_url: str,
    cancel_url: str,
    names: Sequence[str] = (),
    fields: Iterable[tuple[str, str]] = (),
) -> str:
    """The page; its button `label` sends the same request again, with these fields, confirmed.

    names: of what it is about.
    """
    return render_template(
        "confirm.html",
        title=title,
        names=names[:_NAMES_SHOWN],
        more_names=max(0, len(names) - _NAMES_SHOWN),
        message=message,
        action_url=action_url,
        fields=[(_FIELD, _YES), *fields],
        cancel_url=cancel_url,
        confirm_label=label,
    )
