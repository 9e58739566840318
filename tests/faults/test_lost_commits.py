"""A connection to PostgreSQL ends at a COMMIT: nothing is done twice, and no file that a row names is gone."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from ml.datasets.case_reader import CaseReader
from ml.datasets.checking.file_checks import FileChecker
from tests.support.commit_proxy import CommitProxy, commit_proxy
from tests.support.evaluations import begin, case_rows, evaluation_row, queued_chunks, run_all, write_data_set, zip_of
from tests.support.jobs import run_chunk, run_segmentation
from tests.support.resources import make_settings, png_bytes, row, upload
from tests.worker.conftest import BrightnessEngine, runtime_with
from webapp.domain.database import engine
from webapp.domain.errors import DatabaseUnavailable, OutcomeUnknown
from webapp.domain.evaluations import deletion, submission
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, segmentations
from webapp.domain.scans.models import Scan
from webapp.domain.scans.submission import RunOptions, UploadOptions, submit, submit_run
from webapp.domain.storage.keys import original_key, stack_key
from webapp.domain.uploads.receiving import UploadedFile
from worker.jobs import lease
from worker.jobs.runner import run_next
from worker.process.runtime import Runtime
from worker.recovery.orphans import delete_orphans

pytestmark = pytest.mark.postgres


@pytest.fixture
def proxy(postgres: str) -> Iterator[CommitProxy]:
    folder = postgres.removeprefix("host=").split("&")[0]
    with commit_proxy(Path(folder) / ".s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def resources(postgres_url: str, proxy: CommitProxy, tmp_path: Path) -> Iterator[Resources]:
    """A portal whose connections to the database go through the proxy."""
    name = postgres_url.split("///")[1].split("?")[0]
    url = f"postgresql+psycopg://glioscope@127.0.0.1:{proxy.port}/{name}"
    resources = Resources.open(make_settings(tmp_path, DATABASE_URL=url))
    yield resources
    resources.close()


@pytest.fixture
def runtime(
    resources: Resources, case_reader: CaseReader, file_checker: FileChecker, monkeypatch: pytest.MonkeyPatch
) -> Runtime:
    return runtime_with(BrightnessEngine(), resources, case_reader, file_checker, monkeypatch)


# The COMMIT is lost, or its acknowledgement.
is_before = pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])


def uploads(resources: Resources) -> list[str]:
    with resources.database.read() as session:
        return list(session.scalars(select(Scan.id)))


def files(resources: Resources) -> list[str]:
    return sorted(resources.storage.keys(older_than_s=0))


def test_an_upload_whose_commit_was_not_acknowledged_is_accepted(resources: Resources, proxy: CommitProxy) -> None:
    proxy.lose("INSERT INTO scans")
    accepted = upload(resources)
    assert proxy.lost == 1
    assert uploads(resources) == [accepted.scan_id]
    assert files(resources) == [original_key(accepted.scan_id), stack_key(accepted.scan_id)]


def test_an_upload_whose_commit_was_lost_leaves_nothing(resources: Resources, proxy: CommitProxy) -> None:
    proxy.lose("INSERT INTO scans", is_before=True)
    with pytest.raises(DatabaseUnavailable):
        upload(resources)
    assert (proxy.lost, uploads(resources), files(resources)) == (1, [], [])


def test_an_upload_whose_outcome_stays_unknown_keeps_its_files(
    resources: Resources, proxy: CommitProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SETTLE_S", 0.3)
    proxy.lose("INSERT INTO scans", stays_away=True)
    with pytest.raises(OutcomeUnknown):
        upload(resources)
    proxy.come_back()
    (scan_id,) = uploads(resources)
    assert files(resources) == [original_key(scan_id), stack_key(scan_id)]


def test_an_archive_whose_outcome_stays_unknown_keeps_its_folder(
    resources: Resources, proxy: CommitProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "SETTLE_S", 0)
    proxy.lose("INSERT INTO evaluations", stays_away=True)
    archive = UploadedFile("set.zip", io.BytesIO(zip_of(write_data_set(tmp_path / "set", patients=1))))
    with pytest.raises(OutcomeUnknown):
        submission.submit(resources, archive, submission.EvaluationOptions())
    proxy.come_back()
    with resources.database.read() as session:
        (evaluation_id,) = session.scalars(select(Evaluation.id))
    assert resources.folders.names(0) == [evaluation_id]
    assert delete_orphans(resources, older_than_s=0) == 0


@is_before
def test_a_result_keeps_its_map(resources: Resources, runtime: Runtime, proxy: CommitProxy, is_before: bool) -> None:
    accepted = upload(resources)
    proxy.lose("map_key=", is_before=is_before)
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (proxy.lost, done.status) == (1, Status.SUCCEEDED)
    assert resources.storage.exists(done.map_key)


@is_before
def test_each_case_is_written_once(resources: Resources, runtime: Runtime, proxy: CommitProxy, is_before: bool) -> None:
    evaluation_id = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set"))
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    proxy.lose("INSERT INTO evaluation_cases", is_before=is_before)
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    assert proxy.lost == 1
    found = case_rows(resources, evaluation_id)
    assert [(case.position, case.error_code) for case in found] == [(position, None) for position in range(15)]
    assert all(resources.storage.exists(case.map_key) for case in found)


def test_cases_that_may_have_been_written_keep_their_maps_where_the_lease_is_lost(
    resources: Resources, runtime: Runtime, proxy: CommitProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation is canceled while nobody knows what became of the group."""
    evaluation_id = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set"))
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    monkeypatch.setattr(engine, "SETTLE_S", 0)
    proxy.lose("INSERT INTO evaluation_cases", stays_away=True)

    def come_back_canceled(_seconds: float) -> None:
        if proxy.is_away:
            proxy.come_back()
            submission.cancel(resources, evaluation_id)

    monkeypatch.setattr(lease.time, "sleep", come_back_canceled)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    assert proxy.lost == 1
    found = case_rows(resources, evaluation_id)
    assert found and all(resources.storage.exists(case.map_key) for case in found)


def test_where_every_acknowledgement_is_lost_all_is_done_once(
    resources: Resources, runtime: Runtime, proxy: CommitProxy
) -> None:
    """An upload under a key, sent twice; its run, another threshold; an evaluation; and both are deleted."""
    proxy.lose("", times=10_000)
    ids = set()
    for _ in range(2):
        request = [UploadedFile("scan.png", io.BytesIO(png_bytes()))]
        ids.update(submit(resources, request, UploadOptions(), "key").scan_ids)
    (scan_id,) = ids
    submit_run(resources, scan_id, RunOptions(threshold=0.3))
    evaluation_id = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set"))
    for _ in range(8):
        run_next(runtime)
    with resources.database.read() as session:
        runs = segmentations.runs(session, scan_id)
    assert [run.status for run in runs] == [Status.SUCCEEDED] * 2
    assert evaluation_row(resources, evaluation_id).status is Status.SUCCEEDED
    assert [case.error_code for case in case_rows(resources, evaluation_id)] == [None] * 15
    lookup.delete(resources, scan_id)
    deletion.delete(resources, evaluation_id)
    assert (uploads(resources), files(resources)) == ([], [])
    assert proxy.lost > 20
