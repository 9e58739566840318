"""/api/v1/models: the cards."""

from typing import Any

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.schemas.errors import ErrorSchema
from webapp.schemas.models import ModelListSchema, ModelSchema, dump_model

blp = blueprint("models", "models", "The models that this portal offers.")


@blp.get("")
@blp.answers(200, ModelListSchema)
@blp.doc(operationId="list_models")
def models() -> dict[str, Any]:
    """All model packages, with their cards."""
    return {"models": [dump_model(entry) for entry in resources().catalog.entries()]}


@blp.get("/<string:name>")
@blp.answers(200, ModelSchema)
@blp.alt_response(404, schema=ErrorSchema)
@blp.doc(operationId="get_model")
def model(name: str) -> dict[str, Any]:
    """One model's card: everything it says."""
    return dump_model(resources().catalog.entry(name))
