"""What became of one promise, and the one table of all."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figures import Table

HOLDS, REPORTED, FALLS_SHORT, NOT_RUN = "holds", "reported", "FALLS SHORT", "not run"


@dataclass(frozen=True)
class Outcome:
    """command: what shows it again. verdict: one of the four above; a timing is reported, and judged where asked."""

    name: str
    sentence: str
    command: str
    figures: Sequence[str]
    verdict: str


def command_of(name: str) -> str:
    """What shows the promise of this name again."""
    return f'make torture TORTURE="--only {name}"'


def read(path: Path | None) -> dict[str, Outcome]:
    """What earlier runs kept in the file, the newest of each name; nothing where there is none."""
    if path is None or not path.is_file():
        return {}
    kept = [Outcome(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return {outcome.name: outcome for outcome in kept}


def keep(outcome: Outcome, path: Path) -> None:
    """Append it to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def table(outcomes: Sequence[Outcome]) -> Table:
    """Promise, command, figures, verdict."""
    rows = tuple((item.sentence, f"`{item.command}`", "; ".join(item.figures), item.verdict) for item in outcomes)
    return Table("Promises", ("promise", "command", "figures", "verdict"), rows)
