"""What a portal should reach on two cores, beside what a run found: its last lines say which aims fall short.

A part of the benchmark states its figures in `Table.facts`, by the names below; of a part that did not run nothing is
said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Table

# The names of facts.
TIMES_PLAIN, TIMES_SCRIPT, OUTSIDE = "times_plain", "times_script", "outside_network"
TWO_WORKERS, UPLOAD, ROWS_P95 = "two_workers", "upload_ratio", "rows_p95_ms"
SLICES_A_SECOND = "slices_a_second"
# Pages are promised for so many rows.
MANY_ROWS = 100_000


@dataclass(frozen=True)
class Aim:
    """A figure that is wanted. is_most: whether it is the largest allowed, else the smallest; digits: after the point.
    needs_8_bit: whether it is for processors that multiply numbers of 8 bits only."""

    fact: str
    words: str
    wanted: float
    is_most: bool = False
    digits: int = 1
    needs_8_bit: bool = False

    def is_met(self, found: float) -> bool:
        """Whether a figure is good enough."""
        return found <= self.wanted if self.is_most else found >= self.wanted


AIMS = (
    Aim(TIMES_PLAIN, "a folder, times the plain pipeline", 25, needs_8_bit=True),
    Aim(TIMES_SCRIPT, "a folder, times the engineer's script", 4),
    Aim(OUTSIDE, "share of an evaluation's time that is not the engine's", 0.15, is_most=True, digits=3),
    Aim(TWO_WORKERS, "two workers of one thread, times one", 1.8, digits=2),
    Aim(UPLOAD, "an upload at one client, plain view's median / portal's", 6),
    Aim(ROWS_P95, f"slowest p95 of a page or list of {MANY_ROWS:,} rows, ms", 50, is_most=True),
)


def facts_of(tables: Sequence[Table]) -> dict[str, float]:
    """All facts of a run; of one that several tables state the largest."""
    found: dict[str, float] = {}
    for table in tables:
        for name, value in table.facts.items():
            found[name] = max(value, found.get(name, value))
    return found


def aims_table(facts: Mapping[str, float], *, multiplies_8_bit: bool) -> Table:
    """Each aim that was measured, and whether it is met."""
    rows = [
        (
            aim.words,
            f"{'at most' if aim.is_most else 'at least'} {aim.wanted:g}",
            f"{facts[aim.fact]:.{aim.digits}f}",
            "met" if aim.is_met(facts[aim.fact]) else "falls short",
        )
        for aim in _measured(facts, multiplies_8_bit)
    ]
    return Table("Aims", ("what", "wanted", "found", "so"), tuple(rows))


def verdict(facts: Mapping[str, float], *, multiplies_8_bit: bool) -> str:
    """The last line of a run."""
    measured = _measured(facts, multiplies_8_bit)
    short = [aim for aim in measured if not aim.is_met(facts[aim.fact])]
    if not measured:
        return "No aim was measured."
    if not short:
        return f"All {len(measured)} aims that were measured are met."
    words = "; ".join(f"{aim.words} ({facts[aim.fact]:.{aim.digits}f}, wanted {aim.wanted:g})" for aim in short)
    return f"Falls short of {len(short)} of {len(measured)} aims: {words}."


def _measured(facts: Mapping[str, float], multiplies_8_bit: bool) -> list[Aim]:
    return [aim for aim in AIMS if aim.fact in facts and (multiplies_8_bit or not aim.needs_8_bit)]
