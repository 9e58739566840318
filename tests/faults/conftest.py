"""A whole portal whose leases are short and whose model is small, so that many crashes fit into a test run."""

from collections.abc import Iterator

import pytest

from tests.support.portal_process import RunningPortal, running_portal
from tests.support.resources import MODEL
from tests.support.small_model import write_small_model

# The promise is a minute with the default lease of 15 s.
FAST = {"GLIOSCOPE_LEASE_S": "3", "GLIOSCOPE_HEARTBEAT_S": "1", "GLIOSCOPE_SWEEP_S": "1", "GLIOSCOPE_MAX_ATTEMPTS": "3"}


@pytest.fixture(scope="session")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """One for all these tests of a process: it must outlive what each of them kills."""
    small = {"GLIOSCOPE_MODELS": str(write_small_model(tmp_path_factory.mktemp("models"))), "GLIOSCOPE_MODEL": MODEL}
    with running_portal(tmp_path_factory.mktemp("faults"), **small, **FAST) as portal:
        yield portal
