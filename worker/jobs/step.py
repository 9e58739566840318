"""What the runner asks of a step, the function that does one kind of job."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from webapp.domain.evaluations import failure_codes as evaluation_codes
from webapp.domain.jobs import failure_codes
from webapp.domain.jobs.kinds import ClaimedJob
from worker.jobs.lease import Lease
from worker.process.runtime import Runtime

Input = TypeVar("Input")

# A step calls it between two pieces of its work, so that a more urgent job need not wait for its end.
StepAside: TypeAlias = Callable[[], None]
Step: TypeAlias = Callable[[Runtime, ClaimedJob[Input], Lease, StepAside], None]


class JobFailed(Exception):
    """The job ends as failed, with this code and this sentence. Raises ValueError for a code of no registry."""

    def __init__(self, code: str, message: str) -> None:
        if code not in failure_codes.FAILURE_CODES and code not in evaluation_codes.FAILURE_CODES:
            raise ValueError(f"the code {code} is not registered")
        super().__init__(code, message)
        self.code = code
        self.message = message
