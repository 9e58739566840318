"""The promises, each with the tests that show it. They are the suite's own, repeated as often as the promise says."""

from collections.abc import Sequence
from dataclasses import dataclass

_LIFECYCLE = "tests/webapp/domain/jobs/test_lifecycle.py"
_SWEEPER = "tests/worker/recovery/test_sweeper.py"
_ERRORS = "tests/webapp/test_error_handlers.py"
_SEGMENTATION = "tests/worker/segmentation/test_faults.py"
_GUNICORN = "tests/webapp/process/test_gunicorn_worker.py"
_RESTARTS = "tests/faults/test_restarts.py"
_WEB = "tests/faults/test_web.py"


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
        ),
    ),
    Promise(
        "double click",
        "a button that is pressed twice makes one job",
        (f"{_LIFECYCLE}::test_a_double_click_makes_one_run", "tests/webapp/domain/uploads/test_idempotency.py"),
    ),
    Promise(
        "poison",
        "an input that kills its worker stops after three attempts",
        (
            "tests/faults/test_kills.py::test_an_input_that_kills_its_worker_stops_after_three_attempts",
            "tests/worker/evaluation/test_faults.py::test_a_chunk_that_stops_its_workers_costs_its_own_cases_alone",
        ),
    ),
    Promise("stuck", "nothing stays running past its lease", (_SWEEPER,)),
    Promise(
        "hang",
        "a job that hangs is ended at its limit, as a timeout",
        (
            "tests/worker/jobs/test_time_limit.py",
            "tests/worker/jobs/test_runner.py::test_a_job_over_its_time_fails_by_name",
            f"{_LIFECYCLE}::test_a_job_over_its_time_ends_as_timeout",
            f"{_SEGMENTATION}::test_a_step_that_hangs_is_left_when_its_lease_is_lost",
        ),
    ),
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
    Promise(
        "bad input",
        "bad files and requests get their answer, and leave nothing",
        (
            "tests/ml/sandbox/test_hostile.py",
            "tests/ml/scans/readers/test_nifti.py",
            "tests/webapp/api/test_uploads.py",
            f"{_ERRORS}::test_an_error_is_json_under_the_api",
        ),
    ),
    Promise(
        "bad file",
        "one bad file in a batch: the others finish, and it is named",
        ("tests/faults/test_bad_files.py", "tests/worker/evaluation/test_left_out.py"),
    ),
    Promise("calls", "no call at random is a fault or is undocumented", ("tests/webapp/api/test_schemathesis.py",)),
    Promise(
        "durable",
        "a killed web process leaves no row without its file",
        (f"{_WEB}::test_uploads_survive_kills_of_the_web_process",),
    ),
    Promise(
        "unpublished",
        "a web process killed between commit and message leaves a job that is done",
        (f"{_WEB}::test_a_scan_whose_message_was_never_sent_is_done_all_the_same",),
    ),
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
    Promise(
        "access",
        "logins, sessions, tokens and the audit log hold; an unsafe start is refused",
        (
            "tests/webapp/users/test_administration.py",
            "tests/webapp/users/test_audit_log.py",
            "tests/webapp/users/test_logins.py",
            "tests/webapp/users/test_tokens.py",
            "tests/webapp/test_second_factor.py",
            "tests/webapp/test_audit_trail.py",
            "tests/webapp/domain/test_settings.py",
        ),
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
    Promise("redis", "Redis flushed or restarted: messages are published again", ("tests/faults/test_redis.py",)),
    Promise(
        "database locked",
        "a database that stays locked is 503 with Retry-After",
        (f"{_ERRORS}::test_a_locked_database_is_503_with_retry_after",),
    ),
    Promise(
        "postgresql",
        "PostgreSQL restarted at work: 503, then all is finished by itself; a worker keeps its result",
        (
            f"{_RESTARTS}::test_postgresql_is_restarted_under_uploads_and_an_evaluation",
            f"{_ERRORS}::test_a_database_that_is_away_is_503_on_pages_too",
            f"{_SEGMENTATION}::test_a_result_waits_for_a_database_that_is_away",
            "tests/worker/test_tasks.py::test_a_database_that_is_away_costs_a_message_and_no_worker",
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
        "deploy",
        "web and workers told to end finish what they have, or leave it to the next; the version before still works",
        (
            f"{_RESTARTS}::test_a_web_process_that_is_told_to_end_answers_what_it_has_begun",
            f"{_RESTARTS}::test_a_worker_that_is_told_to_end_finishes_its_job_or_leaves_it_to_the_next",
            "tests/worker/test_tasks.py",
            "tests/webapp/domain/database/test_migration.py::test_code_of_the_version_before_works_on_the_new_schema",
        ),
    ),
    Promise("starts", "a worker that cannot start is tried again", ("tests/faults/test_starts.py",)),
    Promise("backups", "a backup restores to what it was", ("tests/webapp/domain/backups/test_backups.py",)),
    Promise(
        "queues",
        "no chunk starts or goes on while an upload waits; each kind of job may have a worker of its own",
        (
            "tests/worker/jobs/test_queues.py",
            f"{_RESTARTS}::test_uploads_and_evaluations_have_a_worker_each",
        ),
    ),
    Promise(
        "machines",
        "two web and two worker processes over PostgreSQL, Redis and S3: one machine's report",
        ("tests/faults/test_many_machines.py",),
    ),
)
