"""A card's figures as its page groups them: by the patients that they were taken on and by what was different."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# A card's aggregation ends with the rule that was in use: `ml.packaging.card_metrics` writes it so.
RULE = "; threshold "


@dataclass(frozen=True)
class FigureGroup:
    """Figures of one set under one rule. figures: the card's entries; `aggregation` without the rule."""

    set: str | None
    patients: int | None
    rule: str | None
    figures: tuple[Mapping[str, Any], ...]


def group_figures(metrics: Iterable[Mapping[str, Any]]) -> tuple[FigureGroup, ...]:
    """In the card's order; a figure whose aggregation names no rule stands in a group without one."""
    groups: dict[tuple[str | None, int | None, str | None], list[Mapping[str, Any]]] = {}
    for metric in metrics:
        aggregation, found, rule = (metric["aggregation"] or "").partition(RULE)
        key = (metric["set"], metric["patients"], f"threshold {rule}" if found else None)
        groups.setdefault(key, []).append({**metric, "aggregation": aggregation or None})
    return tuple(FigureGroup(*key, tuple(figures)) for key, figures in groups.items())
