"""Recipes and `--set`: what loads, what is refused and how the refusal helps."""

import pytest
import yaml
from pydantic import ValidationError

from ml.training.configuration import Configuration
from ml.training.errors import ConfigurationError
from ml.training.recipes import DIRECTORY, differences, dump, list_recipes, load_recipe, make_configuration

PLAIN = {"name": "plain", "follows": "nothing", "loss": {"dice": 1}, "stages": [{"epochs": 2}]}


def with_keys(**changes):
    return make_configuration({**PLAIN, **changes}, "plain.yaml")


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipe_loads_and_says_what_it_follows(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert len(recipe.follows) > 40
    assert any(str(year) in recipe.follows for year in range(2014, 2025))


@pytest.mark.parametrize("name", list_recipes())
def test_what_is_dumped_loads_as_the_same_object(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "again.yaml").write_text(dump(recipe))
    assert load_recipe(str(tmp_path / "again.yaml")) == recipe
    assert Configuration.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.name=adam", "'optimiser' is unknown; did you mean 'optimizer'"),
        ("loss.dise=1", "'loss.dise' is unknown; did you mean 'dice'"),
        ("stages.1.epoch=3", "'stages.1.epoch' is unknown; did you mean 'epochs'"),
        ("network.zzz=1", "'network.zzz' is unknown; known are name, encoder"),
        ("loop.seed=-1", "loop.seed: Input should be greater than or equal to 0"),
        ("loss={bce: 0}", "every weight is 0; give bce, dice, focal or boundary one"),
        ("stages=[]", "stages: Tuple should have at least 1 item"),
        ("stages.0.size=100", "stages.0.size: Input should be a multiple of 32"),
        ("stages.0.crop=256", "crop 256 is larger than size 128"),
        ("sampling.tumor_share=0", "sampling.tumor_share: Input should be greater than 0"),
        ("network.decoder_channels=[64, 32]", "network.decoder_channels: Tuple should have at least 5 items"),
        ("optimizer.decoder_lr=.nan", "optimizer.decoder_lr: Input should be"),
        ("network.name=segnet", "network.name: Input should be 'unet', 'unetplusplus' or 'scratch'"),
        ("mean=[0.5]", "mean and std need 3 numbers each"),
        ("loop.seed", "'loop.seed' is no change; write it as key=value"),
        ("=3", "is no change"),
        ("stages.7.epochs=3", "stages.7.epochs: the recipe has no such place"),
        ("stages.first.epochs=3", "stages.first.epochs: the recipe has no such place"),
        ("name.first=3", "name.first: the recipe has no such place"),
        ("loss.dice=[", "is no YAML value"),
    ],
)
def test_wrong_setting_is_a_sentence_that_helps(change, message):
    with pytest.raises(ConfigurationError) as error:
        load_recipe("unet-vgg16-lgg", [change])
    assert message in str(error.value)


def test_settings_reach_sections_lists_and_new_sections():
    changes = ["stages.1.epochs=3", "optimizer.encoder_lr=1e-4", "network.encoder_weights=null", "loop.patience=5"]
    chosen = ["loop.checkpoint=best", "loop.statistics_slices=0"]
    recipe = load_recipe("unet-vgg16-lgg", [*changes, *chosen, "sampling={slices: 12}", "schedule.factor=0.25"])
    assert [stage.epochs for stage in recipe.stages] == [80, 3]
    assert (recipe.optimizer.encoder_lr, recipe.network.encoder_weights, recipe.loop.patience) == (1e-4, None, 5)
    assert (recipe.sampling.slices, recipe.sampling.tumor_share) == (12, None)
    assert (recipe.schedule.factor, recipe.schedule.name) == (0.25, "cosine")
    assert load_recipe("unet-vgg16", ["stages=[{epochs: 1, size: 64}]"]).stages[0].size == 64


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigurationError, match="no recipe 'unet-vgg'; did you mean 'unet-vgg16'"):
        load_recipe("unet-vgg")


@pytest.mark.parametrize(
    ("text", "message"), [("- a list", "is not a recipe"), ("a: [", "cannot be read as YAML"), (None, "cannot be read")]
)
def test_file_that_is_no_recipe_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(str(tmp_path / "mine.yaml"))


def test_configuration_is_frozen_in_every_section():
    recipe = load_recipe("unet-vgg16")
    for section, key in ((recipe, "name"), (recipe.loss, "dice"), (recipe.stages[0], "epochs"), (recipe.loop, "seed")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 1)


def test_each_epoch_has_its_stage():
    recipe = with_keys(stages=[{"epochs": 2, "size": 64}, {"epochs": 1, "size": 128}])
    assert recipe.epochs == 3
    assert [recipe.stage_at(epoch).size for epoch in range(5)] == [64, 64, 128, 128, 128]
    assert recipe.convention.size == (128, 128)


@pytest.mark.parametrize(
    ("classes", "values", "message"),
    [
        (3, None, "3 classes need as many sampling.class_values"),
        (3, [0, 255], "3 classes need as many"),
        (1, [0, 255], "are for several classes"),
        (3, [0, 128, 128], "has a value twice"),
    ],
)
def test_class_values_must_fit_the_classes(classes, values, message):
    with pytest.raises(ConfigurationError, match=message):
        with_keys(network={"classes": classes}, sampling={"class_values": values})


def test_one_channel_is_flair_with_the_mean_of_gray():
    convention = with_keys(network={"channels": 1}, is_equalized=True).convention
    assert (convention.channels, convention.planes, convention.is_equalized) == (("FLAIR",), (1,), True)
    assert (len(convention.mean), len(convention.std)) == (1, 1)


def test_options_of_the_network_stand_in_its_architecture():
    architecture = with_keys(network={"attention": "scse", "decoder_channels": [64, 32, 16, 8, 4]}).architecture
    assert architecture.options == {"decoder_attention_type": "scse", "decoder_channels": [64, 32, 16, 8, 4]}
    scratch = with_keys(network={"name": "scratch", "width": 8}).architecture
    assert (scratch.encoder, scratch.options) == ("none", {"width": 8})


def test_documentation_names_every_recipe_and_every_key():
    text = (DIRECTORY.parents[1] / "docs" / "training.md").read_text()
    listed = text.replace("`, `-frozen`", "` `unet-efficientnet-b0-frozen`")
    assert [name for name in list_recipes() if f"`{name}`" not in listed] == []
    plain = yaml.safe_load(dump(load_recipe("unet-vgg16-lgg")))
    keys = {key for section in plain.values() if isinstance(section, dict) for key in section}
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_what_a_run_has_unlike_a_recipe_that_was_edited_since():
    begun = with_keys(loss={"dice": 1, "bce": 0.5}, loop={"precision": "32-true"}, follows="another paper")
    assert differences(begun, begun) == ()
    asked = with_keys(stages=[{"epochs": 3}])  # its precision is left to the machine
    assert differences(begun, asked) == ("loss.bce=0.5 (0.0 there)", "stages.0.epochs=2 (3 there)")
    asked = with_keys(loss={"dice": 1, "bce": 0.5}, stages=[{"epochs": 2}, {"epochs": 1}])
    assert "stages.1.epochs=None (1 there)" in differences(begun, asked)
