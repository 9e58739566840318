"""/api/v1/scans/{id}/sequences: several sequences of a patient, read together."""

from typing import Any

from flask.views import MethodView

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.domain.scans import joining, lookup
from webapp.domain.scans.joining import Choice
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.idempotency import IdempotencyHeaderSchema
from webapp.schemas.scans import ScanSchema, dump_scan
from webapp.schemas.sequences import ChoiceSchema

blp = blueprint("sequences", "scans", "Several sequences of one patient, read together.")


@blp.route("/<hex_id:scan_id>/sequences")
class ScanSequences(MethodView):
    """The sequences of a patient."""

    @blp.arguments(ChoiceSchema)
    @blp.arguments(IdempotencyHeaderSchema, location="headers")
    @blp.answers(202, ScanSchema)
    @blp.alt_response(404, schema=ErrorSchema)
    @blp.alt_response(409, schema=ErrorSchema, description="no_geometry: a part does not say where it lies")
    @blp.alt_response(415, schema=ErrorSchema, description="a body that is not JSON")
    @blp.alt_response(422, schema=ErrorSchema, description="parts that do not overlap, or are the same")
    @blp.alt_response(503, schema=ErrorSchema, description="storage_unavailable: an original is missing")
    @blp.alt_response(507, schema=ErrorSchema, description="no room left")
    @blp.doc(operationId="join_sequences")
    def put(self, body: dict[str, Any], headers: dict[str, Any], scan_id: str) -> dict[str, Any]:
        """Bring T1 before and after contrast onto FLAIR's grid, and segment all three as one new scan."""
        made = joining.join(resources(), scan_id, Choice(**body), headers.get("idempotency_key"))
        with resources().database.read() as session:
            return dump_scan(lookup.get(session, made))
