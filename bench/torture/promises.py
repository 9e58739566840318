"""The promises, each with the tests that show it. They are the suite's own, repeated as often as the promise says."""

from collections.abc import Sequence
from dataclasses import dataclass

_LIFECYCLE = "tests/webapp/domain/jobs/test_lifecycle.py"
_SWEEPER = "tests/worker/recovery/test_sweeper.py"
_ERRORS = "tests/webapp/test_error_handlers.py"
_SEGMENTATION = "tests/worker/segmentation/test_faults.py"
_GUNICORN = "tests/webapp/process/test_gunicorn_worker.py"


@dataclass(frozen=True)
class Promise:
    """name: for `--only`. sentence: what is promised. tests: what pytest is given to show it."""

    name: str
    sentence: str
    tests: Sequence[str]


PROMISES = (
    Promise("lost", "no job is lost while the broker is killed", ("tests/faults/test_broker.py",)),
    Promise(
        "recovery",
        "a killed worker's job ends with one result within 60 s",
        (
            "tests/faults/test_kills.py::test_a_killed_worker_loses_and_doubles_no_job",
            "tests/worker/evaluation/test_kills.py",
            "tests/faults/test_evaluations.py",
        ),
    ),
    Promise(
        "duplicates",
        "two workers on one job give one result; a stale attempt writes nothing",
        (
            f"{_LIFECYCLE}::test_two_workers_forced_on_one_job_a_hundred_times_give_one_result_each",
            f"{_LIFECYCLE}::test_a_result_under_a_lost_lease_changes_no_row",
            f"{_LIFECYCLE}::test_a_double_click_makes_one_run",
        ),
    ),
    Promise(
        "poison",
        "an input that kills its worker stops after three attempts",
        (
            "tests/faults/test_kills.py::test_an_input_that_kills_its_worker_stops_after_three_attempts",
            "tests/worker/evaluation/test_faults.py::test_a_chunk_that_stops_its_workers_costs_its_own_cases_alone",
        ),
    ),
    Promise("stuck", "nothing stays running past its lease", (_SWEEPER, "tests/worker/jobs/test_time_limit.py")),
    Promise(
        "parsing",
        "1,000 mutated files of every format: no 5xx, decoded in bounded memory and time",
        (
            "tests/ml/sandbox/test_fuzz.py",
            "tests/webapp/api/test_fuzz.py",
            "tests/webapp/api/test_hostile_files.py",
            "tests/webapp/api/test_zips.py",
        ),
    ),
    Promise("calls", "no call at random is a fault or is undocumented", ("tests/webapp/api/test_schemathesis.py",)),
    Promise("durable", "a killed web process leaves no row without its file", ("tests/faults/test_web.py",)),
    Promise(
        "commits",
        "a COMMIT whose answer is lost is done once or not at all (PostgreSQL)",
        ("tests/faults/test_lost_commits.py",),
    ),
    Promise(
        "isolation",
        "every route for every role: nobody reaches what is another's",
        ("tests/webapp/test_access.py", "tests/webapp/test_security.py"),
    ),
    Promise("deletion", "after a delete a patient's name is nowhere", ("tests/webapp/test_privacy.py",)),
    Promise(
        "logs",
        "no traceback for users, no values in logs",
        (
            f"{_ERRORS}::test_an_unexpected_fault_tells_the_user_its_number_and_the_log_the_rest",
            f"{_ERRORS}::test_a_database_error_in_the_log_holds_no_values",
            f"{_GUNICORN}::test_an_upload_and_a_refusal_name_nobody_in_the_log",
            "tests/webapp/test_privacy.py::test_a_workers_log_holds_no_name",
        ),
    ),
    Promise(
        "broker away",
        "without a broker an upload is taken within 2 s, and its job is done later",
        (
            "tests/webapp/api/test_uploads.py::test_without_a_broker_an_upload_is_taken_within_two_seconds",
            "tests/worker/jobs/test_runner.py",
            "tests/worker/process/test_broker_watchdog.py",
        ),
    ),
    Promise(
        "database away",
        "a locked or absent database is 503; a worker keeps its result",
        (
            f"{_ERRORS}::test_a_locked_database_is_503_with_retry_after",
            f"{_ERRORS}::test_a_database_that_is_away_is_503_on_pages_too",
            f"{_SEGMENTATION}::test_a_result_waits_for_a_database_that_is_away",
            "tests/worker/test_tasks.py",
        ),
    ),
    Promise(
        "full disk",
        "a full disk is 507, leaves nothing, and costs a job no attempt",
        (
            "tests/webapp/domain/database/test_full_disk.py",
            "tests/ml/sandbox/test_full_disk.py",
            f"{_ERRORS}::test_a_full_disk_is_507",
            f"{_SEGMENTATION}::test_a_full_disk_puts_the_job_back",
        ),
    ),
    Promise(
        "storage away",
        "a bucket that is slow, full or away loses nothing",
        ("tests/faults/test_bucket.py", "tests/webapp/domain/storage/test_bucket.py"),
    ),
    Promise("slow clients", "100 stalled sockets leave /healthz answering", (_GUNICORN,)),
    Promise(
        "clock", "a clock that jumps steals no job", (f"{_SWEEPER}::test_a_live_job_survives_a_clock_that_jumps_ahead",)
    ),
    Promise(
        "model",
        "a model that is missing or changed is named, and no job is done with it",
        ("tests/webapp/domain/catalog/test_entries.py", "tests/webapp/test_health.py"),
    ),
    Promise(
        "memory",
        "out of memory: once more in smaller pieces, then failed by name",
        (f"{_SEGMENTATION}::test_memory_that_runs_out_is_tried_once_more_in_smaller_pieces",),
    ),
    Promise(
        "deleted",
        "what is deleted while it runs comes back nowhere",
        (
            f"{_SEGMENTATION}::test_a_scan_deleted_while_it_runs_leaves_nothing",
            "tests/worker/evaluation/test_faults.py::test_deleting_while_it_runs_leaves_nothing",
        ),
    ),
    Promise(
        "restarts",
        "PostgreSQL, web or a worker restarted at work: what was taken is finished, by itself",
        ("tests/faults/test_restarts.py",),
    ),
    Promise("backups", "a backup restores to what it was", ("tests/webapp/domain/backups/test_backups.py",)),
    Promise("queues", "no chunk starts or goes on while an upload waits", ("tests/worker/jobs/test_queues.py",)),
    Promise(
        "machines",
        "two web and two worker processes over PostgreSQL, Redis and S3: one machine's report",
        ("tests/faults/test_many_machines.py",),
    ),
)
