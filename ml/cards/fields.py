"""JSON values to frozen dataclasses and back, by the dataclasses' own annotations.

It knows just the kinds of field that a model card has: str, int, float, bool, None, unions with None, tuples (of any
length, or of a fixed one), mappings with text keys, `Any`, and dataclasses of these.

Why no library, measured on the web process: pydantic took 200 ms of CPU time and 13.5 MB more (allowed: 50 ms, 5 MB).
msgspec was as fast as this and took 1.7 MB, but accepts NaN and does not say which key of a mapping is wrong.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


class FieldError(ValueError):
    """A value does not fit its field; the message starts with the field's path."""


def decode(kind: type[T], value: object) -> T:
    """Make `value` (from a JSON or YAML parser, or a checkpoint) an instance of the dataclass `kind`.

    Unknown keys of an object are ignored, so that a newer card still reads. Raises FieldError.
    """
    decoded: T = _decode_object(kind, value, "")
    return decoded


def encode(value: "DataclassInstance") -> dict[str, Any]:
    """The reverse: dataclasses become objects with every field, tuples become lists."""
    return {field.name: _encode(getattr(value, field.name)) for field in fields(value)}


def _encode(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return encode(value)
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    return value


def _decode(kind: Any, value: object, where: str) -> Any:
    """kind: an annotation; Any, since Python has no type for those."""
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _decode_object(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _decode(next(option for option in arguments if option is not type(None)), value, where)
    if origin is tuple:
        return _decode_tuple(arguments, value, where)
    if origin is Mapping:
        return {
            _scalar(str, key, where): _decode(arguments[1], item, f"{where}.{key}")
            for key, item in _of_type(dict, value, where).items()
        }
    return _scalar(kind, value, where)


def _decode_object(kind: Any, value: object, where: str) -> Any:
    entries = _of_type(dict, value, where)
    hints = _hints(kind)
    arguments: dict[str, Any] = {}
    for field in fields(kind):
        path = f"{where}.{field.name}".lstrip(".")
        if field.name in entries:
            arguments[field.name] = _decode(hints[field.name], entries[field.name], path)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise FieldError(f"{path} is missing")
    return kind(**arguments)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The annotations of a dataclass: a card has a hundred objects of a few of them."""
    return get_type_hints(kind)


def _decode_tuple(arguments: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    # A parser gives lists; a checkpoint's facts may have tuples.
    items = value if isinstance(value, tuple) else _of_type(list, value, where)
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(items)
    if len(items) != len(arguments):
        raise FieldError(f"{where} has {len(items)} values instead of {len(arguments)}")
    return tuple(
        _decode(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(arguments, items, strict=True))
    )


def _scalar(kind: type, value: object, where: str) -> object:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1023 else inf  # larger ones have no floating-point form
    # bool is an int in Python, never on a card.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FieldError(f"{where} is {type(value).__name__} instead of {kind.__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise FieldError(f"{where} is not a finite number")
    return value


def _of_type(kind: type[T], value: object, where: str) -> T:
    if not isinstance(value, kind):
        raise FieldError(f"{where or 'the card'} is {type(value).__name__} instead of {kind.__name__}")
    return value
