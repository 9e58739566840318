"""The rules on the shipped cards are those that the maps beside them choose, so that anybody can choose again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.cards import Card, load_card
from ml.engines.ensemble import LOGIT_LIMIT
from ml.packaging.cascades import choose_limit
from ml.packaging.choices.folds import FoldRun, read_folds, with_common_folds
from ml.packaging.choices.networks import kept_logits, network_of, scaling_of
from ml.packaging.choices.out_of_fold import FoldChoice, choose_on_folds, level_logits
from ml.packaging.ensembles import average_maps, table_of

pytestmark = [pytest.mark.data, pytest.mark.long]

WEIGHTS = Path(__file__).parents[2] / "ml" / "weights"
FOLDS = WEIGHTS / "unet-ensemble-lgg.folds"


@pytest.fixture(scope="module")
def runs(real_data: Path) -> Sequence[FoldRun]:
    """Of the ensemble's members, in their order."""
    return with_common_folds([read_folds(FOLDS / name, real_data / "lgg") for name in ("lite0", "vgg16")])


def check(choice: FoldChoice, card: Card) -> None:
    rule = choice.rule
    assert (rule.threshold, rule.min_tumor_pixels) == (card.threshold, card.min_tumor_pixels)
    assert (rule.depth, rule.doubt) == (card.depth, card.doubt)
    assert choice.chosen_on == card.chosen_on
    assert choice.volumes == card.volumes
    assert choice.metrics == tuple(metric for metric in card.metrics if metric.is_out_of_fold)


@pytest.mark.parametrize(("place", "name"), [(0, "unet-lite0-lgg"), (1, "unet-vgg16-lgg")])
def test_a_networks_rules_are_chosen_by_its_folds(runs: Sequence[FoldRun], place: int, name: str) -> None:
    folder, run = WEIGHTS / name, runs[place]
    card = load_card(folder)
    check(choose_on_folds(run, card, kept_logits(network_of(folder, card), card, run), scaling_of(card)), card)


def test_the_ensembles_scaling_and_rules_are_chosen_by_its_members_folds(runs: Sequence[FoldRun]) -> None:
    card = load_card(WEIGHTS / "unet-ensemble-lgg")
    folders = [WEIGHTS / member.name for member in card.members]
    tables = [table_of(folder, load_card(folder), run) for folder, run in zip(folders, runs, strict=True)]
    averaged = replace(runs[0], name=card.name, maps=average_maps([run.maps for run in runs], tables))
    choice = choose_on_folds(averaged, card, level_logits(-np.inf, LOGIT_LIMIT))
    assert choice.temperature == card.temperature
    check(choice, card)


def test_the_cascades_limit_is_chosen_by_its_members_folds(runs: Sequence[FoldRun]) -> None:
    card = load_card(WEIGHTS / "unet-cascade-lgg")
    assert card.cascade is not None
    whole = load_card(WEIGHTS / "unet-ensemble-lgg")
    assert (card.threshold, card.doubt, card.depth, card.members) == (
        whole.threshold,
        whole.doubt,
        whole.depth,
        whole.members,
    )
    folders = [WEIGHTS / member.name for member in card.members]
    plain = replace(card, cascade=None, metrics=())
    chosen = choose_limit(plain, folders, runs, card.cascade.neighbors)
    assert chosen.cascade is not None
    assert replace(chosen.cascade, served=card.cascade.served) == card.cascade
    assert card.volumes == whole.volumes
    assert chosen.metrics == tuple(metric for metric in card.metrics if metric.is_out_of_fold)
