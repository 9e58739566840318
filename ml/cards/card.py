"""What a card says of its model, as dataclasses: the fields of `card.json`, in its order and under its names."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml.cards.fields import encode

# The parity gate: the largest difference in mean patient Dice between a served form and torch fp32, and the smallest
# share (0 to 1) of slices with equal verdicts.
MAX_DICE_DELTA = 0.002
MIN_VERDICTS_EQUAL = 0.995
# Of a slice of 256 x 256: a cascade may lose the mask of no tumor that is larger.
LOST_PIXELS = 100


@dataclass(frozen=True)
class Architecture:
    """What is needed to build the network again. options: its own, such as decoder_attention_type."""

    network: str
    encoder: str
    in_channels: int
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)


# How cards call this channel.
FLAIR = "FLAIR"


@dataclass(frozen=True)
class InputConvention:
    """The network's input: x = (v / 255 - mean) / std per channel, v in 0 to 255, on a grid of `size` (height, width).

    grey: in words, how a scan with one channel becomes three; the scan's reader does it.
    planes: which of a scan's three planes (0, 1, 2) becomes each channel; None: all three in order.
    is_equalized: each channel's histogram is equalized on the model's grid.
    neighbors: slices on either side in the stack whose channels the network takes as well, from the lowest slice to the
    highest; for one that is not there the nearest that is stands in.
    """

    size: tuple[int, int]
    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey: str | None = None
    planes: tuple[int, ...] | None = None
    is_equalized: bool = False
    neighbors: int = 0

    @property
    def slices(self) -> int:
        """How many slices the network takes for the answer about one."""
        return 1 + 2 * self.neighbors

    @property
    def flair_channel(self) -> int | None:
        """The channel that people look at in gray, because three as colors are hard to read; None without FLAIR."""
        return self.channels.index(FLAIR) if FLAIR in self.channels else None


@dataclass(frozen=True)
class PackageFile:
    """One file of the package: its SHA-256 in hexadecimal, and its length in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class EncoderSource:
    """Where the encoder's weights came from that training started with (`python -m ml encoder`).

    source_input, input: what they took, and take now, in words. changes: what was done to them.
    """

    encoder: str
    source: str
    source_sha256: str
    licence: str
    source_input: str
    input: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """How the weights were trained; a fact that was not given is None and shown as "not stated".

    training_patients: by whom an evaluation is known to be no test; validation_patients chose the epoch.
    excluded_patients: kept out of training and choices, and not tested on either.
    """

    data: str | None = None
    data_sha256: str | None = None
    split: str | None = None
    patients: int | None = None
    training_patients: tuple[str, ...] | None = None
    validation_patients: tuple[str, ...] | None = None
    test_patients: tuple[str, ...] | None = None
    excluded_patients: tuple[str, ...] | None = None
    recipe: Mapping[str, Any] | None = None
    seed: int | None = None
    epochs: int | None = None
    encoder: EncoderSource | None = None

    @property
    def in_words(self) -> str | None:
        """Who was used for what: "66 patients trained it, 9 chose the epoch, 13 tested it"; None if unknown."""
        counts = (
            (self.patients or 0, "trained it"),
            (len(self.validation_patients or ()), "chose the epoch"),
            (len(self.test_patients or ()), "tested it"),
        )
        said = [f"{count} {what}" for count, what in counts if count]
        if not said:
            return None
        count, _, what = said[0].partition(" ")
        return ", ".join([f"{count} {'patient' if count == '1' else 'patients'} {what}", *said[1:]])


# Beginning of the set of every metric of out-of-fold maps.
OUT_OF_FOLD = "out of fold"
# End of it where what is measured of each fold was chosen on the others.
NESTED = "chosen on the other folds"


@dataclass(frozen=True)
class Metric:
    """One figure with the patients it was measured on, its 95 % interval, and how it was aggregated over them.

    rule: what was measured: threshold, smallest area, engine, and what differs from the served form.
    """

    name: str
    value: float
    ci95: tuple[float, float] | None = None
    patients: int | None = None
    set: str | None = None
    aggregation: str | None = None
    rule: str | None = None

    @property
    def is_out_of_fold(self) -> bool:
        """Whether it was taken from the kept maps of a cross-validation: no engine measures it again."""
        return (self.set or "").startswith(OUT_OF_FOLD)

    @property
    def is_nested(self) -> bool:
        """Whether it was taken out of fold, by rules that other patients had chosen."""
        return self.is_out_of_fold and (self.set or "").endswith(NESTED)

    @property
    def is_test(self) -> bool:
        """Whether it was taken on patients that are kept for testing."""
        return (self.set or "").startswith("test")

    @property
    def folds(self) -> str | None:
        """Of an out-of-fold figure: which patients and folds it is of, in words; None where the card does not say."""
        return (self.rule or "").partition(";")[0] or None if self.is_out_of_fold else None


@dataclass(frozen=True)
class TemperatureScaling:
    """Temperature scaling (Guo et al., ICML 2017) with an offset: logits z become z / temperature + offset, folded into
    the weights. A divisor alone cannot undo the shift of a training that drew slices with tumor more often.

    ece: expected calibration error over all pixels, 15 bins; ece_foreground: over the pixels with p >= 0.05 before, and
    over those with p >= 0.05 after.
    """

    temperature: float
    ece_before: float | None
    ece_after: float | None
    ece_foreground_before: float | None
    ece_foreground_after: float | None
    patients: int
    set: str | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class VolumeError:
    """How many times larger or smaller than the volume of a stack's mask the expert's may be (ml.metrics.growth).

    half: for half of the patients; volume: for the share of `share` (0 to 1) of them; change: the same of the ratio of
    two volumes. set: the patients that it was measured on, whose number is `patients`.
    """

    half: float
    volume: float
    change: float
    share: float
    patients: int
    set: str


@dataclass(frozen=True)
class DoubtRule:
    """When a slice without a mask is in doubt: a component at `threshold` (0 to 1), which is below the card's, has at
    least `min_pixels` pixels of the model's grid (ml.masks)."""

    threshold: float
    min_pixels: int


@dataclass(frozen=True)
class DepthRule:
    """Of a stack, 26-connected components with fewer voxels than `min_share` (0 to 1) of the largest are dropped."""

    min_share: float


@dataclass(frozen=True)
class Member:
    """A package that an ensemble asks. card_sha256: of its `card.json`, which names the digests of all its files."""

    name: str
    version: str | None
    card_sha256: str


@dataclass(frozen=True)
class CascadeFigures:
    """A cascade beside the same members, all of them asked on every slice.

    skipped: slices that the first member answered alone; skipped_clear: of the `clear` slices without tumor in the
    expert's mask. verdicts_equal: share (0 to 1) of the slices, each alone, whose verdict is the same: tumor, uncertain
    or none. patient_dice_delta: mean over patients, cascade less all members, a patient's slices as a stack.
    lost: slices whose tumor in the expert's mask has more than LOST_PIXELS pixels, and which have no mask any more.
    """

    slices: int
    patients: int
    skipped: int
    clear: int
    skipped_clear: int
    verdicts_equal: float
    patient_dice_delta: float | None
    lost: int

    @property
    def is_close(self) -> bool:
        """Whether the cascade passes its gate."""
        is_alike = abs(self.patient_dice_delta or 0.0) <= MAX_DICE_DELTA and self.verdicts_equal >= MIN_VERDICTS_EQUAL
        return is_alike and not self.lost


@dataclass(frozen=True)
class Cascade:
    """The first member looks at every slice, the others where it sees a probability of at least `limit` (0 to 1).

    neighbors: the others are asked about so many slices on either side as well, in the stack; where it is above 0 they
    are asked about every slice that has no neighbors.
    out_of_fold: what chose the limit, maps by networks that never saw the patients (`chosen_on`, in words); served: the
    gate, on the compiled models.
    """

    limit: float
    neighbors: int = 0
    chosen_on: str | None = None
    out_of_fold: CascadeFigures | None = None
    served: CascadeFigures | None = None


@dataclass(frozen=True)
class OodFacts:
    """The out-of-distribution check (ml.ood.detector): its limit, what it warns about, and how well it separates.

    validation_slices: that chose the limit; held_out: whose they are, in words. warned_share, warned_share_grey: shares
    (0 to 1) of them, in color and as gray scans.
    other_images: drawn images that show no brain (ml.synthetic.negatives); auroc (of the distance), warned_others and
    warned_by_kind (shares, 0 to 1) are of validation slices against these. fitted_images: drawn with another seed, that
    the check was fitted on; warned_by_unseen_kind: the shares if none of these had been of that kind.
    """

    method: str
    limit: float
    training_slices: int
    validation_slices: int
    warned_share: float
    warned_share_grey: float
    other_images: int
    auroc: float
    warned_others: float
    warned_by_kind: Mapping[str, float] = field(default_factory=dict)
    fitted_images: int = 0
    warned_by_unseen_kind: Mapping[str, float] = field(default_factory=dict)
    held_out: str = "validation patients"


@dataclass(frozen=True)
class SequenceFigures:
    """One half of the sequence check: gray scans, or scans in color. Measured out of fold: every patient by statistics
    that were fitted on others.

    slice_limit, stack_limit: log-odds against the right sequence above which a slice, and a stack, is warned about.
    classes: what is told apart, the right one first. accuracy: share (0 to 1) of the slices, and of the stacks (one a
    patient and class), whose most probable class is theirs; warned: by class, the shares that are warned about.
    """

    classes: tuple[str, ...]
    slices: int
    stacks: int
    slice_limit: float
    stack_limit: float
    slice_accuracy: float
    stack_accuracy: float
    slices_warned: Mapping[str, float]
    stacks_warned: Mapping[str, float]


@dataclass(frozen=True)
class SequenceFacts:
    """The sequence check (ml.ood.sequences): is a gray scan FLAIR, and do the channels of one in color stand in order?

    patients: that it was fitted on, and measured on out of fold.
    """

    method: str
    patients: int
    gray: SequenceFigures
    color: SequenceFigures


@dataclass(frozen=True)
class Parity:
    """A served form compared with torch fp32: differences in mean Dice (served less reference), and agreement.

    Shares (0 to 1) of the slices. verdicts_equal: both have a mask, or neither has. doubt_equal: both say tumor,
    uncertain, or no tumor; None without a doubt rule. warnings_equal: the same answer of the out-of-distribution check;
    None without that check.
    """

    patient_dice_delta: float | None
    verdicts_equal: float
    slices: int
    patients: int
    against: str = "torch fp32"
    slice_dice_delta: float | None = None
    warnings_equal: float | None = None
    doubt_equal: float | None = None

    @property
    def is_close(self) -> bool:
        """Whether the form passes the parity gate, so that it is served without being asked for by name."""
        return abs(self.patient_dice_delta or 0.0) <= MAX_DICE_DELTA and self.verdicts_equal >= MIN_VERDICTS_EQUAL


@dataclass(frozen=True)
class Card:
    """All that `card.json` says.

    crops: height and width of the crops to the brain that the package was measured with (ml.engines.crops).
    doubt, depth: None where the model has no such rule. members: of an ensemble, whose logits are averaged; empty else.
    cascade: None where every member is asked on every slice.
    volumes: None where too few patients measured it.
    familiarity: the out-of-distribution check, under the name that cards have had from the first. sequences: the check
    of the sequence. Both are None where the package has no such check.
    """

    name: str
    version: str | None
    architecture: Architecture
    input: InputConvention
    threshold: float
    min_tumor_pixels: int
    files: Mapping[str, PackageFile]
    title: str | None = None
    chosen_on: str | None = None
    doubt: DoubtRule | None = None
    depth: DepthRule | None = None
    members: tuple[Member, ...] = ()
    cascade: Cascade | None = None
    crops: tuple[tuple[int, int], ...] = ()
    training: Training = field(default_factory=Training)
    metrics: tuple[Metric, ...] = ()
    volumes: VolumeError | None = None
    temperature: TemperatureScaling | None = None
    familiarity: OodFacts | None = None
    sequences: SequenceFacts | None = None
    parity: Mapping[str, Parity] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    licence: str | None = None

    @property
    def release(self) -> str:
        """What a result says of the package that made it: the version, or the digest of its files where none is stated.

        So a package that was trained again under its name is another one, whether or not somebody gave it a version.
        """
        if self.version is not None:
            return self.version
        digests = [*(file.sha256 for file in self.files.values()), *(member.card_sha256 for member in self.members)]
        return f"files-{hashlib.sha256(' '.join(sorted(digests)).encode()).hexdigest()[:8]}"

    @property
    def neighbors(self) -> int:
        """The slices on either side, in a stack, that the answer for a slice depends on."""
        return self.input.neighbors + (0 if self.cascade is None else self.cascade.neighbors)

    @property
    def sees_stacks(self) -> bool:
        """Whether what is said of a slice depends on the others of its patient, so that they are looked at together."""
        return self.depth is not None or self.neighbors > 0

    def to_json(self) -> dict[str, Any]:
        """The card as plain JSON values, every field present, null where a fact was not stated."""
        return encode(self)
