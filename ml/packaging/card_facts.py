"""A card's facts: what it says before anything is measured, from a YAML file and from the checkpoint itself."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ml.cards import NAME_PATTERN, Card, CardError, card_from_json
from ml.cards.fields import encode
from ml.datasets.time_points import person_of
from ml.networks import Checkpoint
from ml.training.recipes import make_configuration

# Defaults for a published checkpoint: the input of the LGG MRI Segmentation data (Buda et al., Computers in Biology and
# Medicine 109, 2019), normalized with ImageNet's mean and standard deviation.
_DEFAULTS: dict[str, Any] = {
    "version": None,
    "architecture": {"network": "unet", "encoder": "vgg16", "in_channels": 3, "classes": 1},
    "input": {
        "size": [256, 256],
        "channels": ["pre-contrast", "FLAIR", "post-contrast"],
        "grey": "FLAIR repeated",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "threshold": 0.5,
    "min_tumor_pixels": 30,
}
_OF_PARTS = ("architecture", "input")
FACTS = frozenset(_DEFAULTS) | {"title", "chosen_on", "training", "metrics", "limits", "licence"}
MASK_RULE = frozenset({"threshold", "min_tumor_pixels"})
# Text, which YAML takes for a number or a date where it looks so: version 1.10, patient 007.
_TEXTS = frozenset({"version", "title", "chosen_on", "licence", "limits", "data", "data_sha256"}) | {
    f"{kind}_patients" for kind in ("training", "validation", "test", "excluded")
}
# Keys of a checkpoint's `data` that a card needs.
_DATA = frozenset(
    {"data_sha256", "split_seed", "train_patients", "validation_patients", "test_patients", "excluded_patients"}
)


def read_facts(path: Path | None) -> Mapping[str, Any]:
    """The facts file's fields. Raises CardError where it is no YAML object or has a field that is not a fact."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        facts = _with_texts(yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CardError(f"{path.name} cannot be read as YAML ({error}).") from error
    if not isinstance(facts, dict):
        raise CardError(f"{path.name} is not a YAML object with fields of a card; see docs/models.md.")
    unknown = sorted(str(key) for key in facts.keys() - FACTS)
    if unknown:
        raise CardError(f"{path.name} has the unknown field {unknown[0]!r}; known are {', '.join(sorted(FACTS))}.")
    return facts


def _with_texts(node: yaml.Node | None, value: Any, *, is_text: bool = False) -> Any:
    """What YAML made of a node, but fields of text, and lists of it, as they are written."""
    if isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        nodes = {key.value: item for key, item in node.value}
        return {key: _with_texts(nodes.get(key), item, is_text=key in _TEXTS) for key, item in value.items()}
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        return [_with_texts(item, kept, is_text=is_text) for item, kept in zip(node.value, value, strict=True)]
    return node.value if is_text and isinstance(node, yaml.ScalarNode) and value is not None else value


def card_of_facts(name: str, facts: Mapping[str, Any], checkpoint: Checkpoint, *, is_tested: bool = False) -> Card:
    """The card before there are files. Facts override the checkpoint's fields, and these the defaults.

    is_tested: patients who were kept out of the training are its test, unless the facts name another. The figures
    inside a published checkpoint name no patients and stay off the card. Raises CardError.
    """
    if NAME_PATTERN.fullmatch(name) is None:
        raise CardError(f"A package cannot be called {name!r}; give --out a folder named with a-z, 0-9, '.', '_', '-'.")
    known = _of_checkpoint(checkpoint)
    stated = facts.get("training", {})
    if not isinstance(stated, dict):
        raise CardError(f"The facts' training is {type(stated).__name__} instead of an object; see docs/models.md.")
    training = _with_stated(known.pop("training", {}), stated)
    value = {**_joined(_DEFAULTS, known, facts), "training": training, "name": name, "files": {}}
    card = card_from_json(value)
    return with_test(card) if is_tested else card


def with_facts(card: Card, facts: Mapping[str, Any]) -> Card:
    """The card with some of its fields replaced. Raises CardError."""
    value = card.to_json()
    training = _with_stated(value["training"], facts.get("training", {}))
    return card_from_json({**_joined(value, facts), "training": training})


def _joined(*sources: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of all, the later before the earlier; who states the encoder alone need not repeat the rest."""
    value = {field: stated for source in sources for field, stated in source.items()}
    for field in _OF_PARTS:
        parts = [source[field] for source in sources if field in source]
        if parts and all(isinstance(part, dict) for part in parts):
            value[field] = {key: stated for part in parts for key, stated in part.items()}
            if "channels" in parts[-1]:
                value[field]["grey"] = parts[-1].get("grey")  # an earlier one's says it of other channels
    return value


def _with_stated(training: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """A card's training with facts; whom these name as a test patient is not merely excluded."""
    found = {**training, **stated}
    named = found.get("test_patients") or ()
    found["excluded_patients"] = [who for who in found.get("excluded_patients") or () if who not in named] or None
    return found


def check_leaves_choices(facts: Mapping[str, Any]) -> None:
    """Raises CardError where facts fix what out-of-fold maps are to choose."""
    fixed = sorted(facts.keys() & {*MASK_RULE, "chosen_on"})
    if fixed:
        raise CardError(f"With --folds the maps choose {fixed[0]}; leave it out of the facts.")


def with_test(card: Card) -> Card:
    """The card of a model that is tested: on the patients who were excluded, where it names no others.

    Raises CardError where one of them, at whatever time, is named as trained on or as having chosen something.
    """
    training = card.training
    if training.excluded_patients and not training.test_patients:
        training = replace(training, test_patients=training.excluded_patients, excluded_patients=None)
    known = {person_of(who) for who in (*(training.training_patients or ()), *(training.validation_patients or ()))}
    tested = next((who for who in training.test_patients or () if person_of(who) in known), None)
    if tested is not None:
        raise CardError(
            f"{tested!r} is to be tested on and trained or chose the model, now or at another time: that is no test;"
            " name others, or none."
        )
    return replace(card, training=training)


def _of_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """Fields of the card from a checkpoint of `python -m ml train`; none from another. Raises CardError."""
    if checkpoint.architecture is None or checkpoint.configuration is None or checkpoint.data is None:
        return {}
    configuration = make_configuration(dict(checkpoint.configuration), "the checkpoint")
    data = checkpoint.data
    missing = sorted(_DATA - data.keys())
    if missing:
        raise CardError(f"The checkpoint's data have no {missing[0]}; give one as `python -m ml train` writes it.")
    kept = [*data["test_patients"], *data["excluded_patients"]]
    return {
        "architecture": dict(checkpoint.architecture),
        "input": encode(configuration.convention),
        "training": {
            "data_sha256": data["data_sha256"],
            "split": (
                f"by patient, seed {data['split_seed']}: {len(data['train_patients'])} trained on, "
                f"{len(data['validation_patients'])} to choose on, {len(kept)} kept out of both"
            ),
            "patients": len(data["train_patients"]),
            "training_patients": data["train_patients"] or None,
            "validation_patients": data["validation_patients"],
            "test_patients": data["test_patients"] or None,
            "excluded_patients": data["excluded_patients"] or None,
            "recipe": dict(checkpoint.configuration),
            "seed": configuration.loop.seed,
            "epochs": checkpoint.epoch,
            "encoder": data.get("encoder"),  # older checkpoints have none
        },
    }
