"""What the runner asks of a step, the function that does one kind of job."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from webapp.domain.jobs.kinds import ClaimedJob
from worker.jobs.lease import Lease
from worker.process.runtime import Runtime

Input = TypeVar("Input")

# A step calls it between two pieces of its work, so that a more urgent job need not wait for its end.
StepAside: TypeAlias = Callable[[], None]
Step: TypeAlias = Callable[[Runtime, ClaimedJob[Input], Lease, StepAside], None]


class JobFailed(Exception):
    """The job ends as failed, with this code and this sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
