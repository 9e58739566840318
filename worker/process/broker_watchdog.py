"""Detects a Celery consumer that no longer receives messages.

After a broker's restart the consumer may hold a dead connection without an error (celery issues 8030, 8091): the
process lives and never takes a message again. Messages that stay in the queue while this worker is idle show it. The
parent process is ended then, and the supervisor starts another.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsumerSample:
    """The consumer at one heartbeat. queue_length: messages in the queue, None where the broker does not answer."""

    queue_length: int | None
    messages_taken: int
    is_busy: bool

    def is_suspicious(self) -> bool:
        """Whether there are messages while the worker is idle, which takes one within milliseconds."""
        return bool(self.queue_length) and not self.is_busy


class BrokerWatchdog:
    """Compares each sample with the one before."""

    def __init__(self) -> None:
        self._last: ConsumerSample | None = None

    def is_disconnected(self, sample: ConsumerSample) -> bool:
        """Whether this and the last sample are both suspicious, and no message was taken between them."""
        last, self._last = self._last, sample
        return (
            last is not None
            and last.is_suspicious()
            and sample.is_suspicious()
            and last.messages_taken == sample.messages_taken
        )
