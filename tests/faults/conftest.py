"""A whole portal whose leases are short, so that many crashes fit into a test run."""

from collections.abc import Iterator

import pytest

from tests.running import RunningPortal, running_portal

# The promise is a minute with the default lease of 15 s.
FAST = {"GLIOSCOPE_LEASE_S": "3", "GLIOSCOPE_HEARTBEAT_S": "1", "GLIOSCOPE_SWEEP_S": "1", "GLIOSCOPE_MAX_ATTEMPTS": "3"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    with running_portal(tmp_path_factory.mktemp("faults"), **FAST) as portal:
        yield portal
