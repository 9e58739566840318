"""The suite's processes do not fight for processors."""

import pytest

from tests.support.processors import share_processors


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"PYTEST_XDIST_WORKER_COUNT": "2"}, "1"),
        ({"PYTEST_XDIST_WORKER_COUNT": "2", "OMP_NUM_THREADS": "3"}, "3"),
        ({"PYTEST_XDIST_WORKER_COUNT": "4"}, "1"),
        ({}, None),
    ],
)
def test_each_process_gets_its_share_of_threads_where_nobody_chose(environment, threads):
    share_processors(2, environment)
    assert environment.get("OMP_NUM_THREADS") == threads
