"""The evaluations' pages and their forms."""

import contextlib
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.context import form_threshold, resources, uploaded_files
from webapp.domain.errors import FolderRefused, NotFound, PortalError
from webapp.domain.evaluations import cases as evaluation_cases
from webapp.domain.evaluations import comparison as evaluation_comparison
from webapp.domain.evaluations import deletion, lookup, report_files, sources, submission
from webapp.domain.evaluations.cases import CASE_ORDERS, PATIENT_ORDERS, CaseFilter
from webapp.domain.evaluations.listing import listed_case
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase
from webapp.domain.evaluations.submission import ARCHIVE_FIELD, EvaluationOptions
from webapp.scan_evaluations import evaluate_scans, evaluate_study
from webapp.schemas import labels, metrics
from webapp.schemas.cases import CaseSchema, PatientSchema, described_case
from webapp.schemas.comparisons import ComparisonSchema
from webapp.schemas.evaluations import EvaluationSchema
from webapp.schemas.fields import dump, dump_all
from webapp.views import case_viewer, confirmation

bp = Blueprint("evaluations", __name__, url_prefix="/evaluations")

ROWS = 50
# What the address of a page of tables may say; `url_for` would take some other names for its own arguments.
CASE_PARAMETERS = ("q", "order", "outcome", "patient")
PARAMETERS = ("q", "order", "outcome", "patient", "cursor", "patient_q", "patient_order", "patient_cursor")
EVALUATIONS = 50


@bp.get("")
def index() -> str:
    """All evaluations, newest first."""
    with resources().database.read() as session:
        page = lookup.page(session, limit=EVALUATIONS, cursor=request.args.get("cursor", ""))
        rows = dump_all(EvaluationSchema, page.rows)
    return render_template(
        "evaluations/list.html",
        evaluations=rows,
        labels=labels,
        next_url=url_for("evaluations.index", cursor=page.next_cursor) if page.next_cursor else None,
    )


@bp.get("/new")
def new() -> str:
    """Choose a folder below a root, or send a zip."""
    settings, problem = resources().settings, None
    try:
        listing = sources.browse(settings, request.args.get("path", ""))
    except FolderRefused as error:
        listing, problem = sources.browse(settings, None), error.message
    return render_template(
        "evaluations/new.html",
        listing=listing,
        problem=problem,
        models=resources().catalog.names(),
        max_archive_mb=settings.max_archive_bytes // 1_000_000,
        max_archive_files=settings.max_archive_files,
        roots=[str(root) for root in settings.evaluation_roots],
    )


@bp.post("")
def create() -> Response:
    """Start one: a folder's path, or a zip."""
    options = EvaluationOptions(request.form.get("model") or None, form_threshold(), request.form.get("name") or None)
    try:
        source = next(iter(uploaded_files(ARCHIVE_FIELD)), request.form.get("path", ""))
        evaluation_id = submission.submit(resources(), source, options)
    except PortalError as error:
        if error.status >= 500:
            raise
        flash(error.message, "error")
        return redirect(url_for("evaluations.new", path=request.form.get("path") or None), 303)
    return redirect(url_for("evaluations.show", evaluation_id=evaluation_id), 303)


@bp.post("/scans")
def create_of_scans() -> Response:
    """Start one of scans of the portal that have an expert's mask: of a study, or of one scan."""
    options = EvaluationOptions(request.form.get("model") or None, form_threshold(), request.form.get("name") or None)
    study, scan_id = request.form.get("study", ""), request.form.get("scan", "")
    try:
        evaluation_id = evaluate_study(study, options) if study else evaluate_scans([scan_id], options)
    except PortalError as error:
        if error.status >= 500 or error.status == 404:
            raise
        flash(error.message, "error")
        return redirect(url_for("scans.index", study=study or None), 303)
    return redirect(url_for("evaluations.show", evaluation_id=evaluation_id), 303)


@bp.get("/<hex_id:evaluation_id>")
def show(evaluation_id: str) -> str:
    """Progress while it runs, then the report; tables and gallery as far as there are cases."""
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
        described = dump(EvaluationSchema, row)
        cases, patients = _case_filter(), _patient_filter()
        case_page = evaluation_cases.cases(session, evaluation_id, cases)
        patient_page = evaluation_cases.patients(session, evaluation_id, patients)
        gallery = evaluation_cases.gallery_cases(session, evaluation_id) if row.has_truth else []
        others = evaluation_comparison.candidates(session, row) if row.has_truth else []
    return render_template(
        "evaluations/show.html",
        evaluation=described,
        report=report_files.page_document(resources(), row),
        labels=labels,
        metrics=metrics,
        cases=dump_all(CaseSchema, case_page.rows),
        case_query=f"?{query}" if (query := urlencode(_list_arguments())) else "",
        patients=dump_all(PatientSchema, patient_page.rows),
        case_filter=cases,
        patient_filter=patients,
        case_orders=[(order.value, order.label) for order in CASE_ORDERS],
        patient_orders=[(order.value, order.label) for order in PATIENT_ORDERS],
        next_cases=_next_url(evaluation_id, "cursor", case_page.next_cursor, "cases"),
        next_patients=_next_url(evaluation_id, "patient_cursor", patient_page.next_cursor, "patients"),
        gallery=[(title, dump_all(CaseSchema, members)) for title, members in gallery],
        others=[(other.id, other.name, other.model, other.threshold) for other in others],
        downloads=list(report_files.DOWNLOADS),
    )


@bp.get("/<hex_id:evaluation_id>/cases/<int:position>")
def case(evaluation_id: str, position: int) -> str:
    """One case: scan, expert's mask, model's mask, errors, map."""
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
        found = evaluation_cases.case(session, evaluation_id, position)
        described = described_case(found, listed_case(session, evaluation_id, position))
        before, after = evaluation_cases.neighbors(session, found, _case_filter())
        evaluation = {"id": row.id, "name": row.name, "model": row.model, "threshold": row.threshold}
        viewed = case_viewer.describe(resources(), row, found)
    return render_template(
        "evaluations/case.html",
        evaluation=evaluation,
        case=described,
        **viewed,
        labels=labels,
        metrics=metrics,
        before_url=_case_url(before),
        after_url=_case_url(after),
        list_url=url_for("evaluations.show", evaluation_id=evaluation_id, _anchor="cases", **_list_arguments()),
    )


@bp.get("/<hex_id:evaluation_id>/compare")
def compare(evaluation_id: str) -> str:
    """Two evaluations on the same cases."""
    with resources().database.read() as session:
        found = evaluation_comparison.compare(session, evaluation_id, request.args.get("other", ""))
        described = dump(ComparisonSchema, found)
        evaluations = dump_all(EvaluationSchema, (found.first, found.second))
        names = found.names
    return render_template(
        "evaluations/compare.html",
        comparison=described,
        evaluations=evaluations,
        names=names,
        labels=labels,
        metrics=metrics,
    )


@bp.post("/<hex_id:evaluation_id>/cancel")
def cancel(evaluation_id: str) -> Response:
    """End it, then show what is there."""
    submission.cancel(resources(), evaluation_id)
    return redirect(url_for("evaluations.show", evaluation_id=evaluation_id), 303)


@bp.post("/<hex_id:evaluation_id>/delete")
def delete(evaluation_id: str) -> Response | str:
    """Delete it, once it was asked about."""
    with resources().database.read() as session:
        name = lookup.get(session, evaluation_id).name
    if not confirmation.is_confirmed():
        return confirmation.ask(
            "Delete this evaluation?",
            "All its cases, maps and its report are removed; a folder of yours stays as it is. This is final.",
            "Delete",
            action_url=url_for("evaluations.delete", evaluation_id=evaluation_id),
            cancel_url=url_for("evaluations.show", evaluation_id=evaluation_id),
            names=[name],
        )
    with contextlib.suppress(NotFound):  # somebody was quicker
        deletion.delete(resources(), evaluation_id)
    flash("The evaluation is deleted.", "info")
    return redirect(url_for("evaluations.index"), 303)


def _case_url(row: EvaluationCase | None) -> str | None:
    """A case's page that knows the list it was opened from."""
    if row is None:
        return None
    return url_for("evaluations.case", evaluation_id=row.evaluation_id, position=row.position, **_list_arguments())


def _list_arguments() -> dict[str, Any]:
    """The filter and the order of the table of cases, as the address has them."""
    return {key: request.args[key] for key in CASE_PARAMETERS if request.args.get(key)}


def _case_filter() -> CaseFilter:
    """What the address asks of the table of cases; a word that is none filters nothing."""
    args = request.args
    outcome = args.get("outcome", "")
    return CaseFilter(
        outcome=CaseOutcome(outcome) if outcome in {item.value for item in CaseOutcome} else None,
        patient=args.get("patient", "")[:500],
        query=args.get("q", "").strip()[:255],
        order=_order(args.get("order", ""), CASE_ORDERS),
        limit=ROWS,
        cursor=args.get("cursor", ""),
    )


def _patient_filter() -> CaseFilter:
    args = request.args
    return CaseFilter(
        query=args.get("patient_q", "").strip()[:255],
        order=_order(args.get("patient_order", ""), PATIENT_ORDERS),
        limit=ROWS,
        cursor=args.get("patient_cursor", ""),
    )


def _order(value: str, orders: tuple[evaluation_cases.Order, ...]) -> str:
    return value if value in {order.value for order in orders} else orders[0].value


def _next_url(evaluation_id: str, name: str, cursor: str | None, anchor: str) -> str | None:
    """The same page with the next rows of one of its tables."""
    if cursor is None:
        return None
    kept: dict[str, Any] = {key: request.args[key] for key in PARAMETERS if key in request.args}
    return url_for("evaluations.show", evaluation_id=evaluation_id, _anchor=anchor, **(kept | {name: cursor}))
