"""/api/v1/studies: list, read, rename, write notes and tags."""

from typing import Any

from flask import Response
from flask.views import MethodView

from webapp import downloads
from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.domain.scans import history, studies
from webapp.domain.scans.history import LARGEST_LIMIT, HistoryFilter
from webapp.domain.scans.member_names import clean_member
from webapp.domain.scans.studies import StudyChange
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.studies import (
    ContentQuerySchema,
    StudyChangeSchema,
    StudyPageSchema,
    StudyQuerySchema,
    WholeStudySchema,
    dump_studies,
    dump_whole_study,
)

blp = blueprint("studies", "studies", "Scans that belong together, under a name. One is made by naming it for a scan.")


@blp.get("")
@blp.arguments(StudyQuerySchema, location="query")
@blp.answers(200, StudyPageSchema)
@blp.alt_response(422, schema=ErrorSchema)
@blp.doc(operationId="list_studies")
def collection(query: dict[str, Any]) -> dict[str, Any]:
    """All studies, newest first, page by page."""
    with resources().database.read() as session:
        page = studies.page(session, query["query"], limit=query["limit"], cursor=query["cursor"])
        counts = studies.scan_counts(session, [study.id for study in page.rows])
        return {"studies": dump_studies(page.rows, counts), "next_cursor": page.next_cursor}


@blp.route("/<hex_id:study_id>")
class StudyItem(MethodView):
    """One study."""

    @blp.answers(200, WholeStudySchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.doc(operationId="get_study")
    def get(self, study_id: str) -> dict[str, Any]:
        """A study with its scans."""
        return _described(study_id)

    @blp.arguments(StudyChangeSchema)
    @blp.answers(200, WholeStudySchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(409, schema=ErrorSchema, description="conflict: changed since, or another study has the name")
    @blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
    @blp.alt_response(422, schema=ErrorSchema)
    @blp.doc(operationId="change_study")
    def patch(self, body: dict[str, Any], study_id: str) -> dict[str, Any]:
        """Rename it, write its notes, its tags, its day or its patient."""
        emptied: dict[str, Any] = {name: "" for name in ("date", "patient") if name in body and body[name] is None}
        studies.change(resources(), study_id, StudyChange(**(body | emptied)))
        return _described(study_id)


@blp.get("/<hex_id:study_id>/download.zip")
@blp.arguments(ContentQuerySchema, location="query")
@blp.sends("application/zip")
@blp.alt_response(404, schema=ErrorSchema)
@blp.alt_response(409, schema=ErrorSchema, description="not_ready: none of its scans has a result")
@blp.alt_response(503, schema=ErrorSchema, description="too_many_downloads")
@blp.doc(operationId="download_study")
def download(query: dict[str, Any], study_id: str) -> Response:
    """All of its scans in one zip, or their masks alone."""
    with resources().database.read() as session:
        name = studies.get(session, study_id).name
        scan_ids = studies.scan_ids(session, study_id)
    return downloads.zip_of_scans(scan_ids, query["content"], clean_member(name))


def _described(study_id: str) -> dict[str, Any]:
    with resources().database.read() as session:
        study = studies.get(session, study_id)
        scans = history.page(session, HistoryFilter(study=study_id, limit=LARGEST_LIMIT)).rows
        return dump_whole_study(study, studies.scan_counts(session, [study_id]).get(study_id, 0), scans)
