"""A model card's schema, from its dataclasses, so that OpenAPI describes every field of a card once it has one."""

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import marshmallow as ma
from marshmallow import fields

from ml.cards import Card
from webapp.schemas.fields import AnswerSchema

_SCALARS: dict[Any, type[fields.Field[Any]]] = {
    str: fields.String,
    int: fields.Integer,
    float: fields.Float,
    bool: fields.Boolean,
    Any: fields.Raw,
}


def card_fields() -> dict[str, fields.Field[Any]]:
    """The fields of a card, by name."""
    return _fields_of(Card)


def _fields_of(kind: type) -> dict[str, fields.Field[Any]]:
    hints = get_type_hints(kind)
    return {item.name: _field(hints[item.name]) for item in dataclasses.fields(kind)}


@cache
def _schema_of(kind: type) -> type[ma.Schema]:
    return AnswerSchema.from_dict(_fields_of(kind), name=f"Card{kind.__name__}Schema")


def _field(hint: Any, **options: Any) -> fields.Field[Any]:
    """hint: an annotation of a card's dataclass (ml.cards.fields knows the same kinds)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _field(next(item for item in arguments if item is not types.NoneType), allow_none=True)
    if origin is tuple:
        return fields.List(_field(arguments[0]), **options)
    if origin is Mapping:
        return fields.Dict(keys=fields.String(), values=_field(arguments[1]), **options)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return fields.Nested(_schema_of(hint), **options)
    return _SCALARS[hint](**options)
