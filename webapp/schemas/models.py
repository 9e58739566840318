"""The JSON of a model, and its card's metrics as its page groups them: by patients and by the mask rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import fields

from webapp.domain.catalog.entries import CatalogEntry
from webapp.schemas.cards import card_fields
from webapp.schemas.fields import AnswerSchema


class PackageFileSchema(AnswerSchema):
    """A file of the package."""

    sha256 = fields.String()
    bytes = fields.Integer()
    present = fields.Boolean(metadata={"description": "whether it is there; which engines can run depends on it"})


class ModelSchema(AnswerSchema):
    """A model card, as its file has it; of a card that cannot be read there is the name alone."""

    may_lack = frozenset(card_fields()) - {"name"}

    class Meta:
        """The card's fields, from its dataclasses; of a file also what `dump_model` adds."""

        include: ClassVar = card_fields() | {
            "files": fields.Dict(keys=fields.String(), values=fields.Nested(PackageFileSchema))
        }

    patients_in_words = fields.String(
        allow_none=True, metadata={"description": "how many patients trained it, chose the epoch, tested it"}
    )
    release = fields.String(
        allow_none=True,
        metadata={"description": "the `model_version` of its runs: its version, or a digest of its files without one"},
    )
    usable = fields.Boolean(required=True)
    problem = fields.String(allow_none=True)


class ModelListSchema(AnswerSchema):
    """All model packages."""

    models = fields.List(fields.Nested(ModelSchema), required=True)


def dump_model(entry: CatalogEntry) -> dict[str, Any]:
    """A card as its file has it, which of its files are there, and whether the model can be used."""
    card = entry.card_json
    words = entry.card.training.in_words if entry.card is not None else None
    release = entry.card.release if entry.card is not None else None
    return {
        **card,
        "patients_in_words": words,
        "release": release,
        "usable": entry.problem is None,
        "problem": entry.problem,
    }


@dataclass(frozen=True)
class MetricGroup:
    """A card's metrics of one set under one rule."""

    set: str | None
    patients: int | None
    rule: str | None
    metrics: tuple[Mapping[str, Any], ...]


def group_metrics(metrics: Iterable[Mapping[str, Any]]) -> tuple[MetricGroup, ...]:
    """In the card's order."""
    groups: dict[tuple[str | None, int | None, str | None], list[Mapping[str, Any]]] = {}
    for metric in metrics:
        groups.setdefault((metric["set"], metric["patients"], metric["rule"]), []).append(metric)
    return tuple(MetricGroup(*key, tuple(group)) for key, group in groups.items())
