"""/api/v1/models: the cards."""

from typing import Any

from webapp.api.blueprints import blueprint
from webapp.context import resources
from webapp.schemas.scan_forms import ErrorSchema, ModelListSchema, ModelSchema
from webapp.schemas.scans import model_json

blp = blueprint("models", "models", "The models that this portal offers.")


@blp.get("")
@blp.response(200, ModelListSchema)
def models() -> dict[str, Any]:
    """All model packages, with their cards."""
    return {"models": [model_json(entry) for entry in resources().catalog.entries()]}


@blp.get("/<string:name>")
@blp.alt_response(200, schema=ModelSchema)
@blp.alt_response(404, schema=ErrorSchema)
def model(name: str) -> dict[str, Any]:
    """One model's card: everything it says."""
    return model_json(resources().catalog.entry(name))
