"""Noticing a worker that has stopped hearing its broker.

After a broker's restart Celery's consumer may stay connected to nothing, without an error (celery issues 8030, 8091):
the process lives, and takes no message ever again. What shows it: hints lie in the queue while this worker has nothing
to do. Then its parent is ended, and the supervisor starts it anew.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """What was seen at one heartbeat. `hints` is None where the broker does not answer."""

    hints: int | None
    messages_taken: int
    is_busy: bool

    def looks_deaf(self) -> bool:
        """An idle worker takes a hint within milliseconds, so none may lie there."""
        return bool(self.hints) and not self.is_busy


class DeafnessWatch:
    """Says, look by look, whether the worker is deaf: two looks in a row with hints waiting and none taken between."""

    def __init__(self) -> None:
        self._last: Look | None = None

    def is_deaf(self, look: Look) -> bool:
        """Take one more look into account."""
        last, self._last = self._last, look
        return (
            last is not None and last.looks_deaf() and look.looks_deaf() and last.messages_taken == look.messages_taken
        )
