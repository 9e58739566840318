"""Fields of the JSON: how a row's value looks, for the API and the pages alike.

Rows are dumped inside their database session: some fields ask the domain for what the row itself does not hold.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, cast

import marshmallow as ma
from marshmallow import fields
from sqlalchemy.orm import Session, object_session

from webapp.schemas.warnings import described


class AnswerSchema(ma.Schema):
    """What an answer says: every field is always there, null where there is nothing to say, and is described so.

    A program in a typed language would else ask of each field whether it is there.
    """

    # The fields that are not always there.
    may_lack: ClassVar[frozenset[str]] = frozenset()

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """marshmallow's place for what holds of all fields."""
        field_obj.required = field_name not in self.may_lack


class RowSchema(AnswerSchema):
    """Of rows and dicts, of which a list has hundreds: a field's value is its attribute, or its key.

    marshmallow's own way tries both on every object, and splits each name at its points; it took a third of the time.
    """

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The value of a field; `default` where there is none."""
        return obj.get(attr, default) if isinstance(obj, dict) else getattr(obj, attr, default)


class Rounded(fields.Float):
    """A number to so many digits; null stays null."""

    def __init__(self, digits: int, **options: Any) -> None:
        super().__init__(**options)
        self.digits = digits

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> float | None:
        return None if value is None else round(float(value), self.digits)


class Timestamp(fields.String):
    """ISO 8601 in UTC, to the millisecond."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={**options.pop("metadata", {}), "format": "date-time"}, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> str | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Code(fields.String):
    """A member of an enum, by its value."""

    def __init__(self, enum: type[StrEnum], **options: Any) -> None:
        values: list[str | None] = [member.value for member in enum]
        # JSON Schema has null among an enum's values where it is one.
        described = {"enum": [*values, None] if options.get("allow_none") else values}
        super().__init__(metadata={**options.pop("metadata", {}), **described}, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> str | None:
        return None if value is None else str(value)


class Links(fields.Dict):
    """Addresses by their names, built from the row."""

    _CHECK_ATTRIBUTE = False

    def __init__(self, build: Callable[[Any], dict[str, str]], **options: Any) -> None:
        super().__init__(keys=fields.String(), values=fields.String(), **options)
        self.build = build

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> dict[str, str]:
        return self.build(obj)


class WarningSchema(RowSchema):
    """An entry of the registry of warnings."""

    code = fields.String(required=True, metadata={"description": "stable, for programs"})
    message = fields.String(
        required=True, metadata={"description": "a sentence, and behind it which files or slices, where that is known"}
    )
    detail = fields.String(
        required=True, allow_none=True, metadata={"description": "which files or slices, where that is known"}
    )
    tone = fields.String(required=True, metadata={"enum": ["info", "warn"]})
    chip = fields.String(required=True, allow_none=True, metadata={"description": "a few words beside the verdict"})
    is_routine = fields.Boolean(
        required=True, metadata={"description": "a conversion that most scans of its kind need, such as to 8 bits"}
    )
    voids_all_clear = fields.Boolean(
        required=True, metadata={"description": "an empty mask is then `not_assessed`, not `no_tumor`"}
    )
    voids_finding = fields.Boolean(
        required=True, metadata={"description": "a mask is then `not_assessed`, too, not `tumor_detected`"}
    )


class Warnings(fields.List[Any]):
    """Warnings, whole, from the codes that the row keeps, and its details of some of them."""

    _CHECK_ATTRIBUTE = False

    def __init__(
        self,
        codes: Callable[[Any], Iterable[str]],
        details: Callable[[Any], Mapping[str, str] | None] = lambda row: None,
        **options: Any,
    ) -> None:
        super().__init__(fields.Nested(WarningSchema), **options)
        self.codes, self.details = codes, details

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> Any:
        return super()._serialize(described(self.codes(obj), self.details(obj)), attr, obj, **options)


class MessageSchema(AnswerSchema):
    """A code and its sentence."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class FailureField(fields.Nested):
    """Why a row failed, from its columns `error_code` and `error_message`; null where it did not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(MessageSchema, allow_none=True, **options)

    def get_value(self, obj: Any, attr: str, accessor: Any = None, default: Any = None) -> Any:
        """What is nested."""
        return {"code": obj.error_code, "message": obj.error_message} if obj.error_code else None


def dump(schema: type[ma.Schema], row: object, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """A row's JSON. only: its fields that are wanted, nested ones as `segmentation.verdict`; by default all."""
    return cast(dict[str, Any], _instance(schema, only).dump(row))


def dump_all(schema: type[ma.Schema], rows: Iterable[object]) -> list[dict[str, Any]]:
    """The JSON of every row."""
    return cast(list[dict[str, Any]], _instance(schema).dump(rows, many=True))


@cache
def _instance(schema: type[ma.Schema], only: tuple[str, ...] = ()) -> ma.Schema:
    """One for all requests: making one copies every field."""
    return schema(only=only or None)


def session_of(row: object) -> Session:
    """The open session of a row that is dumped. Raises RuntimeError where it was closed before."""
    session = object_session(row)
    if session is None:
        raise RuntimeError(f"a {type(row).__name__} was dumped after its session; dump it inside")
    return session


class Spacing(fields.List[Any]):
    """Distances in mm. A single slice states no distance between slices: the readers say 0, which is no distance."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> list[float | None] | None:
        return [distance or None for distance in value] if value else None
