"""What became of one promise, and the one table of all."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Table

HOLDS, REPORTED, FALLS_SHORT = "holds", "reported", "FALLS SHORT"


@dataclass(frozen=True)
class Outcome:
    """command: what shows it again. verdict: one of the three above; a timing is reported and not judged."""

    name: str
    sentence: str
    command: str
    figures: Sequence[str]
    verdict: str


def table(outcomes: Sequence[Outcome]) -> Table:
    """Promise, command, figures, verdict."""
    rows = tuple((item.sentence, f"`{item.command}`", "; ".join(item.figures), item.verdict) for item in outcomes)
    return Table("Promises", ("promise", "command", "figures", "verdict"), rows)
