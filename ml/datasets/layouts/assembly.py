"""A layout made of the slices that were found: its sides, patients of one name, and names that are not UTF-8."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.class_names import are_numbered_classes, is_class, is_of_many
from ml.datasets.file_names import is_text, name_key, shown
from ml.datasets.layouts.coco import Category
from ml.datasets.layouts.layout import Layout, LayoutName
from ml.datasets.layouts.left_out import relative
from ml.datasets.layouts.roots import SUBSETS
from ml.datasets.layouts.volume_masks import find_automatic_masks, find_cavities
from ml.datasets.layouts.volumes import find_mixed_channels
from ml.datasets.splits import SIDES
from ml.datasets.time_points import is_time, person_of

# A number, and behind a sign or a slice's word another one at the end: the patient's, or the series', and the slice's.
# Windows numbers files that are renamed together as `Miller (12)`.
_TWO_NUMBERS = re.compile(
    r"(.*?[0-9].*?)[ ._-]+[a-z]*[0-9]+|(.+?) ?\([0-9]+\)|(.*[0-9])(?:s|sl|slices?|z|ax|axial|img|im|image|frame)[0-9]+",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile("[0-9]+")
# Findings that are counted over all folders of a joined set.
_OF_ALL = ("mixed_channels", "automatic_masks", "cavities")
_NOT_TEXT = "{name} has a name that is not UTF-8; rename it."


def images_only(folder: Path, cases: Sequence[Case]) -> Layout:
    """A layout of images that have no masks."""
    return assemble("images only", folder, [(case, None) for case in cases], [])


def join_volumes(folder: Path, parts: Sequence[Layout]) -> Layout:
    """Folders of BraTS volumes within a folder as one set: `HGG` and `LGG`, sites, BIDS' folders of patients.

    Patients of one name in several of them are called after these, too, and all of one that has folders of times
    (`P1/Timepoint_1`).
    """
    owners = Counter(patient for part in parts for patient in {case.patient for case in part.cases})
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    for part in (one.named_from(folder) for one in parts):
        place = shown(relative(part.folder, folder))
        has_times = any(is_time(case.patient) for case in part.cases)
        for case in part.cases:
            is_clear = owners[case.patient] == 1 and not has_times
            name = case.patient if is_clear else f"{place}/{case.patient}"
            sided.append((replace(case, patient=name), SUBSETS.get(name_key(part.folder.name))))
        problems += [problem for problem in part.problems if problem.code not in _OF_ALL]
    cases = [case for case, _ in sided]
    problems += [*find_mixed_channels(cases), *find_automatic_masks(cases), *find_cavities(cases)]
    problems += _find_untold_times(folder, parts)
    layout = assemble("BraTS", folder, sided, problems)
    return replace(layout, volumes=tuple(path for part in parts for path in part.volumes))


def _find_untold_times(folder: Path, parts: Sequence[Layout]) -> Iterator[Problem]:
    """Where folders that are numbered as patients are (`Pat_01`) have several in them whose names tell neither a person
    nor a time (`MRT1`)."""
    inner = {shown(relative(part.folder, folder)): {case.patient for case in part.cases} for part in parts}
    kinds = {_NUMBER.sub("", name_key(place)) for place in inner}
    are_patients = len(inner) > 1 == len(kinds) and not any(is_of_many(place.rpartition("/")[2]) for place in inner)
    first = next((place for place in sorted(inner) if len(inner[place]) > 1), None)
    names = {name for within in inner.values() for name in within}
    whole = [f"{place}/{name}" for place, within in inner.items() for name in within]
    are_untold = len(names) < len(whole) and not any(map(is_time, names))
    are_untold = are_untold and all(person_of(patient) == patient for patient in whole)
    if are_patients and are_untold and first is not None:
        text = (
            f"Each folder within {len(inner):,} others ({', '.join(sorted(inner)[:4])}) counts as one person"
            f" ({first}/{shown(min(inner[first]))}): if those are the persons, and these their times, say so by their"
            f" names ({first}/2021-03-04, {first}/Timepoint_1), else times of one person lie on several sides of a"
            " split, and intervals are too narrow."
        )
        yield Problem("nested_patients", (), text)


def assemble(
    name: LayoutName,
    folder: Path,
    sided: list[tuple[Case, str | None]],
    problems: list[Problem],
    categories: tuple[Category, ...] = (),
) -> Layout:
    cases = tuple(_with_text_names(case, folder) for case, _ in sided)
    problems = [*problems, *(case.fault for case in cases if case.fault and case.fault.code == "bad_name")]
    if not any(case.has_truth for case in cases):
        problems = [problem for problem in problems if problem.code != "missing_mask"]
    cases, doubles = _with_clear_patients(cases, folder)
    problems += doubles
    # Of each patient, who may be there at several times, an image on each side; and who is on each side.
    owners: dict[str, dict[str | None, Path]] = {}
    on_side: dict[str | None, set[str]] = defaultdict(set)
    for case, (_, side) in zip(cases, sided, strict=True):
        owners.setdefault(person_of(case.patient), {}).setdefault(side, case.image)
        on_side[side].add(case.patient)
    shared = [person for person in sorted(owners) if len(owners[person]) > 1]
    if shared:
        text = (
            f"{len(shared)} {'patient is' if len(shared) == 1 else 'patients are'} on several sides of the division"
            f" that the folders make (the first: {shared[0]}): it is not kept; `python -m ml split` makes one by"
            " patient."
        )
        images = owners[shared[0]].values()
        problems.append(Problem("shared_patient", tuple(shown(relative(path, folder)) for path in images), text))
    problems += [*_find_unnamed(cases), *_find_classes(cases)]
    sides = {side: tuple(sorted(on_side[side])) for side in SIDES}
    is_divided = not shared and bool(sides["train"]) and not on_side[None]
    return Layout(name, folder, cases, tuple(problems), sides if is_divided else {}, categories)


def _find_unnamed(cases: Sequence[Case]) -> Iterator[Problem]:
    """Where each image, or each volume of one slice, is its own patient, and names with two numbers (`case12_slice03`)
    seem to tell the patients."""
    are_volumes = any(case.volume is not None for case in cases)
    has_failed = are_volumes and any(case.fault is not None for case in cases)  # one case, however many slices
    if has_failed or len({case.patient for case in cases}) < len(cases):
        return
    names = [("", case.patient) if are_volumes else (str(case.image.parent), case.image.stem) for case in cases]
    found = [(place, _TWO_NUMBERS.fullmatch(name)) for place, name in names]
    seeming = Counter((place, next(filter(None, one.groups()))) for place, one in found if one)
    if len(seeming) > 1 and seeming.total() == len(cases) > len(seeming):
        what = "volumes of one slice" if are_volumes else "images"
        remedy = (
            "join the slices of each to one volume" if are_volumes else "give each patient a folder (PATIENT/NAME.png)"
        )
        text = (
            f"No patient is named, so each of {len(cases):,} {what} counts as one, and their names"
            f" ({shown(names[0][1])}) seem to be of {len(seeming):,}: if they are, {remedy}, else slices of one lie on"
            " several sides of a split, and figures of patients mean nothing."
        )
        yield Problem("unnamed_patients", (), text)


def _find_classes(cases: Sequence[Case]) -> Iterator[Problem]:
    """Where each folder of pictures is called, or numbered, as a class of slices (`glioma`, `no_tumor`): it is hardly
    one patient."""
    counts = Counter(case.patient for case in cases if case.has_truth)
    are_images = all(case.patient == case.image.stem for case in cases)
    if not counts or are_images or any(case.volume is not None for case in cases):
        return
    are_called = all(map(is_class, counts))
    if are_called or are_numbered_classes(counts, most_images=max(counts.values())):
        what = "called as a class, a sequence, a plane or a part" if are_called else "numbered as classes are"
        text = (
            f"Each folder ({shown(', '.join(sorted(counts)[:4]))}) counts as one patient, and is {what}: figures of"
            " patients and their intervals mean nothing, unless each patient has a folder (PATIENT/NAME.png beside"
            " PATIENT/NAME_mask.png)."
        )
        yield Problem("nested_patients", (), text)


def _with_clear_patients(cases: tuple[Case, ...], folder: Path) -> tuple[tuple[Case, ...], list[Problem]]:
    """The cases, those with the fault whose patients' names differ in case or in the form of accents alone."""
    firsts: dict[str, dict[str, Case]] = {}  # by name key, of each spelling
    for case in cases:
        firsts.setdefault(name_key(case.patient), {}).setdefault(case.patient, case)
    problems: dict[str, Problem] = {}
    for key, spellings in firsts.items():
        if len(spellings) > 1:
            first, *others = sorted({normalize("NFC", shown(name)) for name in spellings})
            differ = "in case" if others else "in how their accents are written"
            names = " and ".join([first, *(others or [first])])
            text = (
                f"The names of patients {names} differ {differ} alone: rename one, or make them one folder if it is one"
                " patient."
            )
            files = tuple(shown(relative(case.image, folder)) for case in spellings.values())
            problems[key] = Problem("doubled_patient", files, text)
    if not problems:
        return cases, []
    clear = tuple(
        case if case.fault or not case.has_truth else replace(case, fault=problems.get(name_key(case.patient)))
        for case in cases
    )
    return clear, list(problems.values())


def _with_text_names(case: Case, folder: Path) -> Case:
    """A case whose name or patient is not UTF-8 keeps its place with the reason, and a name that can be written."""
    paths = [path.relative_to(folder).as_posix() for path in (case.image, case.mask) if path is not None]
    strange = next((path for path in paths if not is_text(path)), None)
    if strange is None:
        return case
    fault = Problem("bad_name", (strange,), _NOT_TEXT.format(name=shown(strange)))
    return replace(case, patient=shown(case.patient), fault=fault)
