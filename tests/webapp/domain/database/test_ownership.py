"""One place scopes every query by owner; what passes by it is listed here."""

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import aliased

from tests.webapp.clients import finished, resources_of, sent
from webapp.domain.database import ownership
from webapp.domain.errors import NotFound
from webapp.domain.evaluations import lookup as evaluations
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.models import Evaluation, EvaluationCase, EvaluationChunk, EvaluationPatient
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import history, lookup, studies
from webapp.domain.scans.history import HistoryFilter
from webapp.domain.scans.models import Scan, ScanWarning, Segmentation, Study, ViewerImage
from webapp.domain.tables import Base

ROOT = Path(__file__).resolve().parents[4]
ONE, OTHER = "1" * 32, "2" * 32
# Tables whose rows belong to nobody; what they hold names no content of a user.
OF_NOBODY = {"tombstones", "workers", "idempotency_keys", "identity"}
# Of the portal itself; webapp.domain.accounts says who reads them.
OF_ACCOUNTS = {"users", "sessions", "api_tokens", "login_failures", "oidc_logins", "audit_entries"} | {
    "half_logins",
    "recovery_codes",
}
OWNED = {Scan, ScanWarning, Study, Segmentation, ViewerImage} | {
    Evaluation,
    EvaluationChunk,
    EvaluationCase,
    EvaluationPatient,
}
# Modules with statements in plain text or over plain tables, which the scope does not see, and why they may.
PAST_THE_SCOPE = {
    "webapp/domain/backups/transfer.py": "a backup has everybody's rows",
    "webapp/domain/database/engine.py": "asks the server about itself",
    "webapp/domain/database/migration.py": "the version of the schema",
}


@pytest.fixture(autouse=True)
def _nobody_asks_any_more() -> Iterator[None]:
    yield
    ownership.act_as(None)


@pytest.fixture
def shared(any_app: Flask) -> Resources:
    """A portal with a scan, its run, a study and an evaluation of user ONE; nobody else has anything."""
    scan = finished(any_app)
    resources = resources_of(any_app)
    with resources.database.write() as session:
        session.execute(update(Scan).values(owner_id=ONE))
    ownership.act_as(ONE)
    studies.move(resources, scan["id"], "Patient 7")
    folder = resources.settings.evaluation_roots[0] / "set"
    folder.mkdir(parents=True)
    submission.from_folder(resources, str(folder), EvaluationOptions())
    return resources


def counts(resources: Resources, owner: str | None) -> dict[str, int]:
    ownership.act_as(owner)
    with resources.database.read() as session:
        kinds = (Scan, Study, Segmentation, Evaluation, EvaluationChunk)
        return {kind.__name__: session.scalar(select(func.count()).select_from(kind)) or 0 for kind in kinds}


def test_every_table_has_an_owner_or_is_listed() -> None:
    assert set(ownership.owned_tables()) == OWNED
    assert {kind.__tablename__ for kind in OWNED} | OF_NOBODY | OF_ACCOUNTS == set(Base.metadata.tables)


def test_statements_that_the_scope_does_not_see_are_listed() -> None:
    past = {"tables", "from_statement", "bulk_insert_mappings", "engine"}
    found = set()
    for path in (*(ROOT / "webapp").rglob("*.py"), *(ROOT / "worker").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "") == "sqlalchemy"]
        is_text = any(alias.name in ("text", "table", "Table") for node in froms for alias in node.names)
        of_database = any(
            isinstance(node, ast.Attribute) and node.attr in past and "database" in ast.unparse(node.value)
            for node in nodes
        )
        of_table = any(
            isinstance(node, ast.Attribute) and node.attr in ("__table__", "exec_driver_sql") for node in nodes
        )
        if is_text or of_database or of_table:
            found.add(str(path.relative_to(ROOT)))
    assert found == set(PAST_THE_SCOPE)


def test_statements_that_name_an_owner_otherwise_are_listed() -> None:
    users: dict[str, set[str]] = {"OF_EVERYONE": set(), "OF_OWNED": set()}
    for path in (*(ROOT / "webapp").rglob("*.py"), *(ROOT / "worker").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    users.get(alias.name, set()).add(path.stem)
    assert users == {"OF_EVERYONE": {"lifecycle", "visits"}, "OF_OWNED": {"history"}}


def test_each_sees_their_own_and_workers_see_all(shared: Resources) -> None:
    all_rows = counts(shared, None)
    assert set(all_rows.values()) == {1}
    assert counts(shared, ONE) == all_rows
    assert set(counts(shared, OTHER).values()) == set(counts(shared, ownership.NOBODY).values()) == {0}


def test_who_has_not_been_identified_sees_nothing_where_several_users_are_answered(shared: Resources) -> None:
    seen: list[int] = []

    def look() -> None:  # a thread of its own knows of no request
        with shared.database.read() as session:
            seen.append(session.scalar(select(func.count()).select_from(Scan)) or 0)

    for is_scoped in (False, True):
        shared.database.is_scoped = is_scoped
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    shared.database.is_scoped = False
    assert seen == [1, 0]


def test_no_form_of_a_statement_reaches_another_users_rows(shared: Resources) -> None:
    ownership.act_as(None)
    with shared.database.read() as session:
        scan = session.scalars(select(Scan)).one()
        run_id, evaluation = scan.displayed_id, session.scalars(select(Evaluation)).one()
    ownership.act_as(OTHER)
    with shared.database.write() as session:
        assert session.get(Scan, scan.id) is None and session.get(Study, scan.study_id) is None
        assert session.get(Segmentation, run_id) is None
        assert session.scalar(select(Scan.id)) is None
        assert session.scalar(select(aliased(Scan).id)) is None
        assert session.scalar(select(Segmentation.id).join(Segmentation.scan)) is None
        assert session.scalar(select(select(Scan.id).subquery().c.id)) is None
        assert session.scalar(select(func.count()).where(Study.id.in_(select(Scan.study_id)))) == 0
        assert session.execute(update(Scan).values(filename="x").returning(Scan.id)).first() is None
        assert session.execute(delete(Segmentation).returning(Segmentation.id)).first() is None
        assert session.execute(delete(Evaluation).returning(Evaluation.id)).first() is None
        for ask in (
            lambda: lookup.get(session, scan.id),
            lambda: lookup.segmentation(session, run_id),
            lambda: studies.get(session, scan.study_id),
            lambda: evaluations.get(session, evaluation.id),
        ):
            with pytest.raises(NotFound):
                ask()
        assert not history.has_any(session) and history.count(session, HistoryFilter()) == 0
        assert lookup.filenames(session, [scan.id]) == []
    with pytest.raises(NotFound):
        lookup.delete(shared, scan.id)
    with pytest.raises(NotFound):
        submission.cancel(shared, evaluation.id)
    assert set(counts(shared, ONE).values()) == {1}


@pytest.mark.parametrize("sort", [sort.value for sort in history.SORTS])
def test_no_order_of_the_history_shows_another_users_scan(shared: Resources, sort: str) -> None:
    for owner, expected in ((ONE, 1), (OTHER, 0)):
        ownership.act_as(owner)
        with shared.database.read() as session:
            assert len(history.page(session, HistoryFilter(sort=sort, query="a")).rows) <= expected
            assert len(history.page(session, HistoryFilter(sort=sort)).rows) == expected
            assert history.count(session, HistoryFilter(sort=sort)) == expected
            assert history.count(session, HistoryFilter(sort=sort, status=Status.QUEUED)) <= expected


def test_two_users_may_have_a_study_of_one_name_and_send_one_key(shared: Resources, any_app: Flask) -> None:
    ownership.act_as(OTHER)
    with shared.database.write() as session:
        study_id = studies.place(session, "patient 7")
        assert studies.place(session, "PATIENT 7") == study_id
    with shared.database.read() as session:
        assert [study.id for study in studies.page(session, limit=9).rows] == [study_id]
    studies.change(shared, study_id, studies.StudyChange(notes="mine"))
    with pytest.raises(NotFound):
        ownership.act_as(ONE)
        studies.change(shared, study_id, studies.StudyChange(notes="yours"))


def test_the_same_file_of_another_user_is_not_named(shared: Resources, any_app: Flask) -> None:
    client = any_app.test_client()
    ownership.act_as(OTHER)
    assert sent(client)["same_as"] is None
    assert sent(client)["same_as"] is not None
    with shared.database.read() as session:
        newest = history.page(session, HistoryFilter()).rows[0]
        assert lookup.neighbors(session, newest)[1] is not None
    ownership.act_as(ONE)
    with shared.database.read() as session:
        assert lookup.neighbors(session, session.scalars(select(Scan)).one()) == (None, None)
