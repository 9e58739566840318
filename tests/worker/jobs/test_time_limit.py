"""A job that runs for too long is interrupted; one that cannot be interrupted takes its process with it."""

import subprocess
import sys
import threading
import time

import pytest

from webapp.domain.settings import PROJECT_ROOT
from worker.jobs.time_limit import JobTimeout, time_limit


def test_a_job_over_its_limit_is_interrupted() -> None:
    began = time.monotonic()
    with pytest.raises(JobTimeout), time_limit(0.1):
        time.sleep(20)
    assert time.monotonic() - began < 5


def test_a_job_within_its_limit_is_left_alone_also_afterwards() -> None:
    with time_limit(0.2):
        pass
    time.sleep(0.3)


def test_an_outer_limit_counts_on_through_an_inner_one() -> None:
    began = time.monotonic()
    with pytest.raises(JobTimeout), time_limit(0.3):
        with time_limit(20):
            time.sleep(0.1)
        time.sleep(20)
    assert 0.25 < time.monotonic() - began < 5


def test_the_inner_limit_does_not_end_the_outer_job() -> None:
    with time_limit(20):
        with pytest.raises(JobTimeout), time_limit(0.1):
            time.sleep(20)
        time.sleep(0.2)


def test_native_code_that_hangs_ends_its_process_and_names_the_place() -> None:
    hang = (
        "import re\n"
        "from worker.jobs import time_limit\n"
        "time_limit.GRACE_S = 0.5\n"
        "def hang():\n    re.match('(a*)*b', 'a' * 60)\n"  # in C, holding the lock, for ever
        "with time_limit.time_limit(0.5):\n    hang()\n"
    )
    found = subprocess.run([sys.executable, "-c", hang], cwd=PROJECT_ROOT, capture_output=True, timeout=60)
    assert found.returncode == 1
    assert b"in hang" in found.stderr


def test_native_code_that_silences_the_heartbeat_ends_its_process_long_before_the_limit() -> None:
    hang = (
        "import re, time\n"
        "from worker.jobs.time_limit import time_limit\n"
        "def hang():\n    re.match('(a*)*b', 'a' * 60)\n"
        "with time_limit(3600, 1.0):\n    time.sleep(2)\n    print('alive', flush=True)\n    hang()\n"
    )
    found = subprocess.run([sys.executable, "-c", hang], cwd=PROJECT_ROOT, capture_output=True, timeout=60)
    assert (found.returncode, found.stdout) == (1, b"alive\n"), "the limit is of silence, not of work"
    assert b"in hang" in found.stderr


def test_a_limit_that_is_cut_ends_the_block_soon_also_from_another_thread() -> None:
    began = time.monotonic()
    with pytest.raises(JobTimeout), time_limit(3600) as limit:
        threading.Thread(target=limit.cut, args=(0.1,)).start()
        time.sleep(20)
    assert time.monotonic() - began < 5


def test_a_limit_that_is_cut_while_its_block_ends_is_over_with_it() -> None:
    cut_at_the_end = (
        "import signal, time\n"
        "from worker.jobs.time_limit import time_limit\n"
        "arm = signal.setitimer\n"
        "def setitimer(which, seconds):\n"
        "    arm(which, seconds)\n"
        "    if not seconds:\n"
        "        signal.setitimer = arm\n"
        "        limit.cut(0.1)\n"  # as the lease's thread may, just then
        "with time_limit(3600) as limit:\n"
        "    signal.setitimer = setitimer\n"
        "time.sleep(0.5)\n"
    )
    found = subprocess.run([sys.executable, "-c", cut_at_the_end], cwd=PROJECT_ROOT, capture_output=True, timeout=60)
    assert found.returncode == 0, found.stderr


def test_an_outer_limit_that_is_cut_ends_after_the_inner_block() -> None:
    with pytest.raises(JobTimeout), time_limit(3600) as outer:
        with time_limit(20):
            outer.cut(0.1)
            time.sleep(0.3)
            done = True
        time.sleep(20)
    assert done


def test_a_limit_that_is_cut_too_late_does_nothing() -> None:
    with time_limit(3600, 60) as limit:
        pass
    limit.cut(0.01)
    time.sleep(0.1)
