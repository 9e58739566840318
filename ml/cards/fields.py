"""JSON values to frozen dataclasses and back, by the dataclasses' own annotations.

It knows just the kinds of field that a model card has: str, int, float, bool, None, unions with None, tuples (of any
length, or of a fixed one), mappings with text keys, `Any`, and dataclasses of these.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from typing import Any, Union, get_args, get_origin, get_type_hints


class FieldError(ValueError):
    """A value does not fit its field; the message starts with the field's path."""


def decode(kind: Any, value: Any, where: str = "") -> Any:
    """Make `value` (from a JSON or YAML parser) an instance of the annotation `kind`.

    Unknown keys of an object are ignored, so that a newer card still reads. Raises FieldError.
    """
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _decode_object(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return decode(next(option for option in arguments if option is not type(None)), value, where)
    if origin is tuple:
        return _decode_tuple(arguments, value, where)
    if origin is Mapping:
        return {
            _scalar(str, key, where): decode(arguments[1], item, f"{where}.{key}")
            for key, item in _of_type(dict, value, where).items()
        }
    return _scalar(kind, value, where)


def encode(value: Any) -> Any:
    """The reverse: dataclasses become objects with every field, tuples become lists."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value


def _decode_object(kind: type, value: Any, where: str) -> Any:
    given = _of_type(dict, value, where)
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for field in fields(kind):
        path = f"{where}.{field.name}".lstrip(".")
        if field.name in given:
            arguments[field.name] = decode(hints[field.name], given[field.name], path)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise FieldError(f"{path} is missing")
    return kind(**arguments)


def _decode_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    items = _of_type(list, value, where)
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(items)
    if len(items) != len(arguments):
        raise FieldError(f"{where} has {len(items)} values instead of {len(arguments)}")
    return tuple(
        decode(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(arguments, items, strict=True))
    )


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # bool is an int in Python, never on a card.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FieldError(f"{where} is {type(value).__name__} instead of {kind.__name__}")
    if kind is float and not isfinite(value):
        raise FieldError(f"{where} is not a finite number")
    return value


def _of_type(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise FieldError(f"{where or 'the card'} is {type(value).__name__} instead of {kind.__name__}")
    return value
