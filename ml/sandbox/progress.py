"""Whether a process gets on. One that waits for a processor does, by and by; one that neither runs nor is ever woken
stands still, however much time it has left.

Told by what Linux counts for a process, look by look, and by no clock: a machine that was paused has not looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Seconds between two looks, and how many of them, one after the other, find a process that stands still.
LOOK_S = 1.0
STILL_LOOKS = 15
# What Linux calls a process that has, or waits for, a processor (man 5 proc_pid_stat).
_RUNNABLE = "R"
# One that waits for a disk cannot be ended, and a disk may be slow.
_ON_A_DISK = "D"


@dataclass(frozen=True)
class Sample:
    """A process at one look. state: Linux's letter. work: its processor time in ticks, and how often it was switched to
    and away from: both only ever grow."""

    state: str
    work: tuple[int, ...]


def sample_of(pid: int) -> Sample | None:
    """A look at a process; None where there is none, or where the system does not say."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        status = (folder / "status").read_text(encoding="ascii", errors="replace")
        switches = [int(line.split()[1]) for line in status.splitlines() if "voluntary_ctxt_switches" in line]
        return Sample(fields[0], (int(fields[11]) + int(fields[12]), *switches)) if switches else None
    except (OSError, ValueError, IndexError):
        return None


class Watch:
    """Looks at one process again and again. has_slow_disk: waiting for a disk is no standing still."""

    def __init__(self, *, has_slow_disk: bool = False) -> None:
        self._lively = {_RUNNABLE, _ON_A_DISK} if has_slow_disk else {_RUNNABLE}
        self._last: Sample | None = None
        self._still = 0

    def stands_still(self, now: Sample | None) -> bool:
        """Take one look: whether this many in a row, `STILL_LOOKS`, have found that nothing moves."""
        moves = now is None or now.state in self._lively or self._last is None or now.work != self._last.work
        self._still = 0 if moves else self._still + 1
        self._last = now
        return self._still >= STILL_LOOKS
