"""What a reader must know before an evaluation's figures: sentences that stand beside its headline everywhere."""

from collections.abc import Collection, Iterable, Sequence

from ml.cards import Training
from ml.datasets.file_names import name_key
from ml.datasets.time_points import person_of
from ml.metrics.intervals import FEW_PATIENTS

_CHOSE = "used to choose the epoch"
# Slices that are like those of the training by chance are fewer, of a hundred and at all.
LEAST_SHARE_OF_TRAINING = 0.02
FEWEST_OF_TRAINING = 3
# A scan called "1" or "P7" may be anybody's: shorter names of patients than this are not looked for in a scan's.
SHORTEST_PATIENT = 5
# A model that fails may mark another place, and so does a mask of another patient: both are worth a look.
LEAST_DICE = 0.01
APART = (
    "The expert's mask and the result both have tumor and hardly overlap (Dice below 0.01); a mask of another patient"
    " or another slice order looks so, too. Look at both together"
)
_MOST_NAMED = 5


def caveats_of(
    training: Training,
    patients: Collection[str],
    with_tumor: int,
    *,
    has_interval: bool,
    duplicate_slices: int = 0,
    slices: int = 0,
    apart: Sequence[str] = (),
    training_slices: int = 0,
    misfits: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> tuple[str, ...]:
    """The sentences, most important first.

    training: of the model's card. patients: all that were evaluated. with_tumor: how many persons of them have a Dice.
    has_interval: whether intervals are shown. duplicate_slices: that are another patient's, too.
    slices: how many were evaluated; training_slices: of them, those that the model was trained on, by their pixels.
    apart: patients whose mask and result hardly overlap. misfits: of `ml.evaluation.mask_fit`. notes: of the data.
    """
    found = [*misfits]
    overlap = _overlap(training, set(patients))
    if overlap is not None:
        found.append(overlap)
    if training_slices >= max(FEWEST_OF_TRAINING, LEAST_SHARE_OF_TRAINING * slices):
        found.append(
            f"By their pixels, {training_slices:,} of {slices:,} slices were trained on, whatever they are called: this"
            " is no test."
        )
    if duplicate_slices:
        found.append(
            f"{duplicate_slices:,} slices are equal to another patient's and count for each: is a patient in the data"
            " twice? The check of the data names them."
        )
    if apart:
        named = ", ".join(apart[:_MOST_NAMED]) + (
            f" and {len(apart) - _MOST_NAMED:,} more" if len(apart) > _MOST_NAMED else ""
        )
        found.append(f"{APART}, of {_patients(len(apart))}: {named}.")
    found.extend(notes)
    if has_interval and slices == len(patients):
        found.append(
            "Each slice is a patient of its own here, as far as names tell: where several are of one patient, the 95 %"
            " intervals are too narrow, and patient figures are those of slices."
        )
    if has_interval and with_tumor < FEW_PATIENTS:
        found.append(
            f"The 95 % intervals are of {_patients(with_tumor)} with tumor: with fewer than ten they are too narrow."
        )
    return tuple(found)


def is_apart(dice: float | None, predicted_pixels: float | None) -> bool:
    """Whether an expert's mask with tumor and a result with tumor hardly overlap."""
    return dice is not None and dice < LEAST_DICE and bool(predicted_pixels)


def known_patient(training: Training, names: Iterable[str]) -> str | None:
    """The sentence of a scan whose patient the model knows already; None where no name says so.

    training: of the model's card. names: of the scan, its files and its study, which begin with the patient's.
    """
    spelled = [name_key(name) for name in names]
    for patients, use in ((training.training_patients, "trained on"), (training.validation_patients, _CHOSE)):
        known = {name_key(person_of(patient)) for patient in patients or ()}
        if any(_begins_with(name, person) for person in known for name in spelled):
            return f"By its name, this patient was {use}: this is no test."
    return None


def _begins_with(name: str, patient: str) -> bool:
    rest = name.removeprefix(patient)
    return len(patient) >= SHORTEST_PATIENT and rest != name and not rest[:1].isalnum()


def _overlap(training: Training, patients: set[str]) -> str | None:
    """Whom the model knows already, at whatever time; None where the card names none of them."""
    trained, chose = (
        {patient for patient in patients if person_of(patient) in persons}
        for persons in (
            {person_of(patient) for patient in known or ()}
            for known in (training.training_patients, training.validation_patients)
        )
    )
    chose -= trained
    if not trained and not chose:
        return None
    uses = [(trained, "trained on"), (chose, _CHOSE)]
    (first, use), *others = [(len(group), use) for group, use in uses if group]
    said = f"{first} of {_patients(len(patients))} {'was' if first == 1 else 'were'} {use}"
    for count, other in others:
        said += f", {count} {'was' if count == 1 else 'were'} {other}"
    return f"By their names, {said}: this is no test."


def _patients(count: int) -> str:
    return f"{count:,} {'patient' if count == 1 else 'patients'}"
