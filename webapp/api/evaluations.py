"""/api/v1/evaluations: start, list, watch, cases, report, pictures, cancel, delete."""

from dataclasses import asdict
from typing import Any

from flask import Response, request
from flask.views import MethodView

from webapp.api.blueprints import BYTES, blueprint, png
from webapp.api.stored_files import attachment, inline
from webapp.context import resources, uploaded_files
from webapp.departures import watch_for_departure
from webapp.domain.evaluations import cases as evaluation_cases
from webapp.domain.evaluations import comparison as evaluation_comparison
from webapp.domain.evaluations import deletion, images, lookup, report_files, sources, submission
from webapp.domain.evaluations.cases import CaseFilter
from webapp.domain.evaluations.listing import listed_case
from webapp.domain.evaluations.submission import ARCHIVE_FIELD, EvaluationOptions
from webapp.domain.uploads.receiving import UploadedFile
from webapp.scan_evaluations import evaluate_scans, evaluate_study
from webapp.schemas.cases import (
    CasePageSchema,
    CaseQuerySchema,
    OneCaseSchema,
    PatientPageSchema,
    PatientQuerySchema,
    described_case,
)
from webapp.schemas.comparisons import ComparisonQuerySchema, ComparisonSchema
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.evaluations import (
    EVALUATION_BODY,
    SOURCES,
    ArchiveFormSchema,
    EvaluationListQuerySchema,
    EvaluationPageSchema,
    EvaluationQuerySchema,
    EvaluationSchema,
    FolderBodySchema,
    FolderListSchema,
    FolderQuerySchema,
)
from webapp.schemas.fields import dump
from webapp.schemas.idempotency import IdempotencyHeaderSchema
from webapp.schemas.pictures import PictureColorsSchema

blp = blueprint("evaluations", "evaluations", "A model over whole data sets, with or without expert masks.")

MISSING = "A file of this evaluation is missing in the storage; restore it, or evaluate again."


@blp.route("")
class EvaluationCollection(MethodView):
    """All evaluations."""

    @blp.doc(operationId="start_evaluation", requestBody=EVALUATION_BODY)
    @blp.arguments(IdempotencyHeaderSchema, location="headers")
    @blp.answers(202, EvaluationSchema)
    @blp.alt_response(404, schema=ErrorSchema, description="no such scan or study")
    @blp.alt_response(413, schema=ErrorSchema, description="the archive is too large")
    @blp.alt_response(415, schema=ErrorSchema, description="not a zip")
    @blp.alt_response(422, schema=ErrorSchema, description="folder_refused, unsafe, limit, unreadable, invalid")
    @blp.alt_response(507, schema=ErrorSchema, description="no room left")
    def post(self, headers: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a folder, scans with experts' masks or a study's (JSON), or a zip (multipart)."""
        key = headers.get("idempotency_key")
        if request.mimetype == "multipart/form-data":
            options = blp.ARGUMENTS_PARSER.parse(ArchiveFormSchema(), request, location="form")
            options.pop(ARCHIVE_FIELD, None)
            source: str | UploadedFile | None = next(iter(uploaded_files(ARCHIVE_FIELD)), None)
        else:
            options = blp.ARGUMENTS_PARSER.parse(FolderBodySchema(), request, location="json")
            source, scans, study = (options.pop(name, None) for name in SOURCES)
            if scans is not None:
                return _described(evaluate_scans(scans, EvaluationOptions(**options), key))
            if study is not None:
                return _described(evaluate_study(study, EvaluationOptions(**options), key))
        return _described(submission.submit(resources(), source, EvaluationOptions(**options), key))

    @blp.arguments(EvaluationListQuerySchema, location="query")
    @blp.answers(200, EvaluationPageSchema)
    @blp.alt_response(422, schema=ErrorSchema)
    @blp.doc(operationId="list_evaluations")
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """All evaluations, newest first."""
        with resources().database.read() as session:
            return dump(EvaluationPageSchema, lookup.page(session, **query))


@blp.get("/folders")
@blp.arguments(FolderQuerySchema, location="query")
@blp.answers(200, FolderListSchema)
@blp.alt_response(422, schema=ErrorSchema, description="folder_refused: no such folder below an allowed root")
@blp.doc(operationId="list_folders")
def folders(query: dict[str, Any]) -> dict[str, Any]:
    """The folders that may be evaluated: the roots, or the sub-folders of one below them."""
    return asdict(sources.browse(resources().settings, query["path"]))


@blp.route("/<hex_id:evaluation_id>")
class EvaluationItem(MethodView):
    """One evaluation."""

    @blp.arguments(EvaluationQuerySchema, location="query")
    @blp.answers(200, EvaluationSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(503, schema=ErrorSchema, description="too_many_waiting: ask again after Retry-After seconds")
    @blp.doc(operationId="get_evaluation")
    def get(self, query: dict[str, Any], evaluation_id: str) -> dict[str, Any]:
        """An evaluation and its progress; with `wait` as soon as it has ended."""
        if query["wait"] > 0:
            submission.wait(resources(), evaluation_id, query["wait"], watch_for_departure())
        return _described(evaluation_id)

    @blp.response(204)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.doc(operationId="delete_evaluation")
    def delete(self, evaluation_id: str) -> None:
        """Delete an evaluation with all its cases, maps and files. This is final."""
        deletion.delete(resources(), evaluation_id)


@blp.post("/<hex_id:evaluation_id>/cancel")
@blp.answers(200, EvaluationSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="wrong_state: it has ended already")
@blp.doc(operationId="cancel_evaluation")
def cancel(evaluation_id: str) -> dict[str, Any]:
    """End a queued or running evaluation; its finished cases stay."""
    submission.cancel(resources(), evaluation_id)
    return _described(evaluation_id)


@blp.get("/<hex_id:evaluation_id>/cases")
@blp.arguments(CaseQuerySchema, location="query")
@blp.answers(200, CasePageSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(422, schema=ErrorSchema)
@blp.doc(operationId="list_cases")
def cases(query: dict[str, Any], evaluation_id: str) -> dict[str, Any]:
    """Finished cases, also while the evaluation runs."""
    with resources().database.read() as session:
        lookup.get(session, evaluation_id)
        return dump(CasePageSchema, evaluation_cases.cases(session, evaluation_id, CaseFilter(**query)))


@blp.get("/<hex_id:evaluation_id>/cases/<int:position>")
@blp.answers(200, OneCaseSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.doc(operationId="get_case")
def case(evaluation_id: str, position: int) -> dict[str, Any]:
    """One finished case."""
    with resources().database.read() as session:
        row = evaluation_cases.case(session, evaluation_id, position)
        return described_case(row, listed_case(session, evaluation_id, position))


@blp.get(f"/<hex_id:evaluation_id>/cases/<int:position>/<any({','.join(images.KINDS)}):kind>.png")
@blp.arguments(PictureColorsSchema, location="query")
@blp.sends("image/png")
@blp.alt_response(404, schema=ErrorSchema, description="no such case, no mask, or its image is gone")
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: the case has no result")
@blp.doc(operationId="get_case_picture")
def picture(query: dict[str, Any], evaluation_id: str, position: int, kind: str) -> Response:
    """One picture of one case in the slice's own grid; errors: red missed, green extra, yellow correct."""
    with resources().database.read() as session:
        wanted = images.source(resources(), session, evaluation_id, position, kind, **query)
    return png(lambda: images.render(resources(), wanted, kind), wanted.etag)


@blp.get("/<hex_id:evaluation_id>/patients")
@blp.arguments(PatientQuerySchema, location="query")
@blp.answers(200, PatientPageSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(422, schema=ErrorSchema)
@blp.doc(operationId="list_patients")
def patients(query: dict[str, Any], evaluation_id: str) -> dict[str, Any]:
    """Patients with their pooled figures; none before the evaluation has ended."""
    with resources().database.read() as session:
        lookup.get(session, evaluation_id)
        return dump(PatientPageSchema, evaluation_cases.patients(session, evaluation_id, CaseFilter(**query)))


@blp.get("/<hex_id:evaluation_id>/findings.json")
@blp.sends("application/json", in_parts=True)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: the data set has not been checked yet")
@blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: its file is missing")
@blp.doc(operationId="get_findings")
def findings(evaluation_id: str) -> Response:
    """Everything that the check of the data set found."""
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
    return _sent(report_files.findings_file(row), "application/json", "findings.json", row.name)


@blp.get(f"/<hex_id:evaluation_id>/<any({','.join(map(repr, report_files.DOWNLOADS))}):name>")
@blp.sends(BYTES, *report_files.DOWNLOADS.values(), in_parts=True)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no report yet")
@blp.doc(operationId="get_report_file")
def report(evaluation_id: str, name: str) -> Response:
    """A file of the report: metrics.csv, patients.csv, report.json, report.html (self-contained) or report.pdf."""
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
    key = report_files.report_file(resources(), row, name)
    return _sent(key, report_files.DOWNLOADS[name], name, row.name)


@blp.get(f"/<hex_id:evaluation_id>/figures/<any({','.join(report_files.FIGURES)}):figure>.svg")
@blp.sends("image/svg+xml", in_parts=True)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: there is no report yet")
@blp.doc(operationId="get_figure")
def figure(evaluation_id: str, figure: str) -> Response:
    """A plot of the report."""
    with resources().database.read() as session:
        row = lookup.get(session, evaluation_id)
    key = report_files.report_file(resources(), row, f"figures/{figure}.svg")
    response = inline(key, "image/svg+xml", MISSING, conditional=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blp.get("/<hex_id:evaluation_id>/comparison")
@blp.arguments(ComparisonQuerySchema, location="query")
@blp.answers(200, ComparisonSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: one of the two has not ended well")
@blp.alt_response(422, schema=ErrorSchema, description="no masks, or no image in common")
@blp.doc(operationId="compare_evaluations")
def comparison(query: dict[str, Any], evaluation_id: str) -> dict[str, Any]:
    """This evaluation and another one on the same cases: second less first."""
    with resources().database.read() as session:
        return dump(ComparisonSchema, evaluation_comparison.compare(session, evaluation_id, query["other"]))


@blp.get("/<hex_id:evaluation_id>/comparison/patients.svg")
@blp.arguments(ComparisonQuerySchema, location="query")
@blp.sends("image/svg+xml")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: one of the two has not ended well")
@blp.alt_response(422, schema=ErrorSchema, description="no masks, or no image in common")
@blp.doc(operationId="get_comparison_plot")
def comparison_plot(query: dict[str, Any], evaluation_id: str) -> Response:
    """Each patient's Dice in both, as a plot; of many patients those that the comparison lists."""
    with resources().database.read() as session:
        found = evaluation_comparison.compare(session, evaluation_id, query["other"])
        svg = evaluation_comparison.plot(found)
    response = Response(svg, mimetype="image/svg+xml")
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _sent(key: str, mimetype: str, name: str, evaluation_name: str) -> Response:
    """An attachment: a report's page has styles of its own, which ours would not allow inline."""
    return attachment(key, mimetype, f"{evaluation_name} {name}", MISSING)


def _described(evaluation_id: str) -> dict[str, Any]:
    with resources().database.read() as session:
        return dump(EvaluationSchema, lookup.get(session, evaluation_id))
