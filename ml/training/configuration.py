"""The one object that says how a model is trained: frozen, checked, stored with the checkpoint. Never imports torch."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.cards import Architecture, InputConvention
from ml.cards.reading import MAX_NEIGHBORS

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]

# Of ImageNet (Deng et al., 2009), which published encoders were trained with; for one channel, of its gray.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_GRAY_MEAN, _GRAY_STD = (0.449,), (0.226,)
_SCAN_CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")
_FLAIR = 1


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Network(Section):
    """The network. channels: of a slice; 1 takes FLAIR alone. neighbors: slices on either side in the stack that it
    takes as well. classes: 1 is tumor or not; more: class 0 is background.

    encoder_weights: "imagenet" (downloaded), or a path: a folder of `python -m ml encoder`, or a published file.
    freeze_epochs: the encoder keeps its weights for so many epochs from the start; is_encoder_frozen: for all of them.
    width: of scratch's first level. Dropout is of whole channels, while training alone.
    """

    name: Literal["unet", "unetplusplus", "scratch"] = "unet"
    encoder: str = "vgg16"
    encoder_weights: Annotated[str, Field(min_length=1)] | None = None
    freeze_epochs: Annotated[int, Field(ge=0)] = 0
    channels: Literal[1, 3] = 3
    neighbors: Annotated[int, Field(ge=0, le=MAX_NEIGHBORS)] = 0
    classes: Count = 1
    attention: Literal["scse"] | None = None
    decoder_channels: Annotated[tuple[Count, ...], Field(min_length=5, max_length=5)] | None = None
    width: Count | None = None
    decoder_dropout: Share = 0.0
    head_dropout: Share = 0.0
    is_encoder_frozen: bool = False


class Augmentation(Section):
    """Probabilities, and the largest change of each kind. Geometry moves image and mask together.

    flair_only: the share of slices of which FLAIR alone is shown, in all channels, as a gray scan is. neighbor_dropout:
    how often the neighbors on one side are taken away, for each side by itself, as at the end of a stack; without it a
    network that takes neighbors would know no slice that comes alone.
    """

    horizontal_flip: Share = 0.0
    vertical_flip: Share = 0.0
    quarter_turns: Share = 0.0
    affine: Share = 0.0
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.0
    elastic: Share = 0.0
    intensity: Share = 0.0
    brightness: Share = 0.2
    contrast: Share = 0.2
    gamma: Share = 0.0
    noise: Share = 0.0
    blur: Share = 0.0
    channel_dropout: Share = 0.0
    neighbor_dropout: Share = 0.0
    flair_only: Share = 0.0


class Sampling(Section):
    """tumor_share: of slices with tumor in an epoch, None as in the data. slices: of an epoch, None as many as exist.

    is_patient_balanced: patients are drawn evenly, then one of their slices; else slices, so that patients with many
    slices are seen more often. With `slices` an epoch is a fixed number of steps, whatever the size of the data.
    class_values: gray levels of the mask files that are the classes 0, 1, ..., where there are several.
    """

    tumor_share: Annotated[float, Field(gt=0, le=1)] | None = None
    slices: Count | None = None
    is_patient_balanced: bool = False
    class_values: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = None
    cache_gb: Weight = 4.0


class Loss(Section):
    """Weights of the parts; pos_weight and focal_gamma are theirs. boundary_pixels: half width of its band.

    dice_per_image: the share of the Dice part that is taken image by image, so that small lesions count as large ones.
    """

    bce: Weight = 0.0
    pos_weight: Positive = 1.0
    dice: Weight = 0.0
    dice_per_image: Share = 0.0
    focal: Weight = 0.0
    focal_gamma: Weight = 2.0
    boundary: Weight = 0.0
    boundary_pixels: Count = 2

    @model_validator(mode="after")
    def _has_a_part(self) -> "Loss":
        if not (self.bce or self.dice or self.focal or self.boundary):
            raise ValueError("every weight is 0; give bce, dice, focal or boundary one")
        return self


class Optimizer(Section):
    """Learning rates of the encoder and of all the rest."""

    name: Literal["adam", "adamw"] = "adam"
    encoder_lr: Weight = 1e-3
    decoder_lr: Positive = 1e-3
    weight_decay: Weight = 0.0


class Schedule(Section):
    """How the learning rates change. warmup_epochs: linear, from nothing. plateau: times `factor` after `patience`.

    is_per_stage: the cosine falls in each stage anew, from the stage's `rate_share`.
    """

    name: Literal["constant", "cosine", "plateau"] = "cosine"
    warmup_epochs: Weight = 0.0
    minimum_share: Share = 0.0
    is_per_stage: bool = False
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: Count = 3


class Stage(Section):
    """Epochs at one resolution. size: the model's grid, crop: of it, drawn at random for each training slice.

    rate_share: of the optimizer's learning rates, in this stage.
    """

    epochs: Count
    size: Side = 256
    crop: Side | None = None
    batch_size: Count = 16
    rate_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _crop_fits(self) -> "Stage":
        if self.crop is not None and self.crop > self.size:
            raise ValueError(f"crop {self.crop} is larger than size {self.size}; give a smaller one or none")
        return self


class Loop(Section):
    """Everything else of the run. patience: validations without a better Dice before it stops; None: never.

    ema_decay: weights averaged over steps (Polyak and Juditsky, 1992) are validated and kept. checkpoint: "best" keeps
    the epoch of the last stage with the best validation Dice, "last" the weights at the end of a fixed schedule, so
    that no validation patient chooses anything. statistics_slices: the statistics of batch normalization are taken
    again, at the end, over so many slices without augmentation; for "last" alone.
    precision: "auto" takes bfloat16 where the processor multiplies it and it is measured to be faster.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    checkpoint: Literal["best", "last"] = "best"
    statistics_slices: Annotated[int, Field(ge=0)] = 0
    patience: Count | None = None
    validate_every: Count = 1
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    gradient_clip: Positive | None = None
    max_steps: Count | None = None
    is_compiled: bool = False
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    devices: Count | Literal["auto"] = "auto"
    nodes: Count = 1


class Configuration(Section):
    """A recipe, complete. follows: the published work that it follows, with its reference."""

    name: str
    follows: str
    network: Network = Network()
    is_equalized: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[Positive, ...] | None = None
    shares: tuple[Weight, Weight, Weight] = (80.0, 10.0, 10.0)
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    loss: Loss
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    loop: Loop = Loop()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Configuration":
        values = self.sampling.class_values
        if self.network.classes > 1 and (values is None or len(values) != self.network.classes):
            raise ValueError(f"{self.network.classes} classes need as many sampling.class_values, background first")
        if values is not None and len(set(values)) < len(values):
            raise ValueError(f"sampling.class_values {values} has a value twice; give each class its own")
        if self.network.classes == 1 and values is not None:
            raise ValueError("sampling.class_values are for several classes; leave them out or set network.classes")
        if self.loop.checkpoint == "last" and (self.loop.patience is not None or self.schedule.name == "plateau"):
            raise ValueError("loop.checkpoint=last is a fixed schedule; leave out loop.patience and the plateau")
        if self.loop.checkpoint == "best" and self.loop.statistics_slices:
            raise ValueError("loop.statistics_slices are for loop.checkpoint=last; set both or neither")
        if len({len(self.convention.mean), len(self.convention.std), self.network.channels}) != 1:
            raise ValueError(f"mean and std need {self.network.channels} numbers each, one a channel")
        return self

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """The stage that epoch (from 0) belongs to; the last one beyond the end."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def stage_position(self, done: float) -> tuple[Stage, float]:
        """The stage after `done` epochs of the run, and how many epochs of that stage are done."""
        for stage in self.stages[:-1]:
            if done < stage.epochs:
                return stage, done
            done -= stage.epochs
        return self.stages[-1], done

    @property
    def architecture(self) -> Architecture:
        """The network as a card names it."""
        network = self.network
        options = {
            "decoder_attention_type": network.attention,
            "decoder_channels": None if network.decoder_channels is None else list(network.decoder_channels),
            "width": network.width,
        }
        return Architecture(
            network=network.name,
            encoder="none" if network.name == "scratch" else network.encoder,
            in_channels=network.channels * self.convention.slices,
            classes=network.classes,
            options={key: value for key, value in options.items() if value is not None},
        )

    @property
    def convention(self) -> InputConvention:
        """The input as a card names it, on the last stage's grid."""
        return self.convention_at(self.stages[-1].size)

    def convention_at(self, size: int) -> InputConvention:
        """The same on a square grid of `size` pixels."""
        is_gray = self.network.channels == 1
        return InputConvention(
            size=(size, size),
            channels=("FLAIR",) if is_gray else _SCAN_CHANNELS,
            mean=self.mean or (_GRAY_MEAN if is_gray else _IMAGENET_MEAN),
            std=self.std or (_GRAY_STD if is_gray else _IMAGENET_STD),
            grey="taken as FLAIR" if is_gray else "FLAIR repeated",
            planes=(_FLAIR,) if is_gray else None,
            is_equalized=self.is_equalized,
            neighbors=self.network.neighbors,
        )
