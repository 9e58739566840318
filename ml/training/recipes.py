"""Recipes as YAML files, and changes of single keys from the command line. Never imports torch."""

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from ml.training.configuration import Configuration
from ml.training.errors import ConfigurationError

DIRECTORY = Path(__file__).resolve().parents[1] / "recipes"
_SUFFIX = ".yaml"


def list_recipes() -> tuple[str, ...]:
    """Names of the recipes that ship."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob(f"*{_SUFFIX}")))


def load_recipe(recipe: str, changes: Sequence[str] = ()) -> Configuration:
    """A shipped recipe by its name, or any YAML file; `changes` as "loss.dice=0.5". Raises ConfigurationError."""
    path = Path(recipe)
    if path.suffix != _SUFFIX:
        path = DIRECTORY / f"{recipe}{_SUFFIX}"
        if recipe not in list_recipes():
            raise ConfigurationError(f"There is no recipe {recipe!r}{_nearest(recipe, list_recipes())}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML ({error}).") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} is not a recipe: give a YAML object with the keys of docs/training.md.")
    for change in changes:
        _change(values, change)
    return make_configuration(values, path.name)


def make_configuration(values: object, source: str) -> Configuration:
    """Check plain values. Raises ConfigurationError, which names the key, and the nearest valid one."""
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = [str(part) for part in problem["loc"]]
        where = ".".join(path)
        if problem["type"] == "extra_forbidden":
            known = _keys_at(Configuration, path[:-1])
            raise ConfigurationError(f"{source}: the key {where!r} is unknown{_nearest(path[-1], known)}") from error
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{source}: {where or 'the recipe'}: {message}.") from error


def dump(configuration: Configuration) -> str:
    """The whole configuration as a recipe."""
    return yaml.safe_dump(configuration.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def differences(begun: Configuration, asked: Configuration) -> tuple[str, ...]:
    """The keys in which a run differs from a recipe, as "loss.dice=0.5 (0.25 there)"; how it is computed is no key."""
    ours, theirs = (_flat(one.model_dump(mode="json", exclude={"follows"})) for one in (begun, asked))
    return tuple(
        f"{key}={ours.get(key)} ({theirs.get(key)} there)"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and not (key == "loop.precision" and theirs[key] == "auto")
    )


def _flat(values: Mapping[str, Any], parent: str = "") -> dict[str, Any]:
    """Values by their whole keys; a list is one value, but that of the stages."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            value = {str(index): part for index, part in enumerate(value)}
        flat |= _flat(value, f"{parent}{key}.") if isinstance(value, dict) else {f"{parent}{key}": value}
    return flat


def _change(values: dict[str, Any], change: str) -> None:
    """Set one key, in place; a part of digits is a place in a list (`stages.0.epochs=2`)."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"--set {change!r} is no change; write it as key=value, such as loop.seed=2.")
    *parents, last = key.split(".")
    place: Any = values
    try:
        for part in parents:
            if isinstance(place, dict):
                if place.get(part) is None:
                    place[part] = {}
                place = place[part]
            else:
                place = place[int(part)]
        if isinstance(place, dict):
            place[last] = yaml.safe_load(text)
        else:
            place[int(last)] = yaml.safe_load(text)
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigurationError(f"--set {key}: the recipe has no such place; see docs/training.md.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"--set {key}: {text!r} is no YAML value ({error}).") from error


def _keys_at(model: type[BaseModel], path: Sequence[str]) -> tuple[str, ...]:
    """Valid keys of the section at `path`."""
    for part in path:
        if part.isdigit():
            continue
        model = _section_of(model.model_fields[part].annotation)
    return tuple(model.model_fields)


def _section_of(annotation: object) -> type[BaseModel]:
    """The section in `Section`, `tuple[Section, ...]` or a union with None."""
    if get_origin(annotation) in (tuple, Union, types.UnionType):
        return next(_section_of(part) for part in get_args(annotation) if part not in (Ellipsis, type(None)))
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise TypeError(f"{annotation} is no section of a recipe.")
    return annotation


def _nearest(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the nearest one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}."
