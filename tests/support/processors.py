"""How the suite's processes share the machine's processors."""

import os
from collections.abc import MutableMapping


def share_processors(processors: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Give each of pytest-xdist's processes its share of the threads of torch and numpy; before either is imported.

    Each would otherwise start a thread a processor, and OpenMP's threads keep a processor busy while they wait for each
    other: two such processes on two processors took five times the time of two with one thread.
    """
    if (processes := environment.get("PYTEST_XDIST_WORKER_COUNT")) is not None:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, processors // int(processes))))
