"""Volumes whose masks lie in other folders: UPENN-GBM's `images_structural` and `images_segm`, BIDS' `derivatives`.

A mask is told by its name, or by its folder's (`masks`), and whose it is by the patient's name in both names, else by a
folder that has one FLAIR and this mask alone. One that may be of several volumes is of none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ml.datasets.file_names import MASK_VOLUME_SUFFIXES, VOLUME_SUFFIXES, name_key, suffix_of
from ml.datasets.layouts.sequences import Sequence as Kind
from ml.datasets.layouts.sequences import is_scan_of_vsd, split_brats_name
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.volume_masks import base_of_mask, is_of_another, is_of_part, is_volume_mask
from ml.datasets.layouts.volume_patients import VolumePatient, volumes_in
from ml.datasets.layouts.volumes import VolumeSet, list_volumes
from ml.datasets.mask_names import count_own_folders, mask_sign
from ml.datasets.time_points import is_time

# Of BIDS (https://bids-specification.readthedocs.io, entities): what says of a file what it shows, and whose it is.
_SHOWS = re.compile(r"_(?:label|desc|seg|hemi|res)-[a-z0-9+]+", re.IGNORECASE)
_SPACE = re.compile(r"_space-[a-z0-9+]+", re.IGNORECASE)
_SUBJECT = re.compile(r"sub-[a-z0-9]+(?:_ses-[a-z0-9]+)?(?=_|$)", re.IGNORECASE)


def list_apart(tree: Tree, folder: Path) -> VolumeSet:
    """All volumes below a folder with their masks, wherever these lie; empty where no mask is a volume's."""
    patients, masks = _find(tree, folder)
    owners, neighbors = _Owners(patients), _Neighbors(folder, patients, masks)
    lonely: list[VolumePatient] = []
    for path in masks:
        owner = owners.of(path) or neighbors.of(path)
        if owner is None:
            lonely.append(VolumePatient(path.name))
        (owner or lonely[-1]).files[Kind.SEG].append(path)
    if len(lonely) == len(masks):
        return VolumeSet()
    _name(patients, folder)
    return list_volumes(tree, folder, [*patients, *lonely], [])


def _find(tree: Tree, folder: Path) -> tuple[list[VolumePatient], list[Path]]:
    """Patients with FLAIR, called by their folder and name, and the masks of tumors."""
    found: dict[tuple[Path, str], VolumePatient] = {}
    masks: list[Path] = []
    kinds = (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
    volumes = [(here, path, stem) for here, _ in tree.walk(folder) for path, stem in volumes_in(tree, here, kinds)]
    names = [path.relative_to(folder).parts for _, path, _ in volumes]
    inner = folder.joinpath(*(names[0][: count_own_folders(map("/".join, names))] if names else ()))
    for here, path, stem in volumes:
        if is_volume_mask(path, inner):
            masks.append(path)
        elif mask_sign(path.relative_to(inner).as_posix()):  # of anatomy
            continue
        elif (named := split_brats_name(stem)) and suffix_of(path.name) in VOLUME_SUFFIXES:
            base, kind = named
            is_in_own = is_scan_of_vsd(stem) and name_key(here.name) == name_key(stem)
            place = here.parent if is_in_own and here != folder else here
            found.setdefault((place, base), VolumePatient(base or place.name)).files[kind].append(path)
    return [patient for patient in found.values() if patient.first(Kind.FLAIR)], masks


class _Owners:
    """Whose a mask is: the one patient of its name, else the one of its subject and session in BIDS."""

    def __init__(self, patients: Sequence[VolumePatient]) -> None:
        self._by_name: dict[str, list[VolumePatient]] = defaultdict(list)
        self._by_subject: dict[str, list[VolumePatient]] = defaultdict(list)
        for patient in patients:
            self._by_name[name_key(patient.name)].append(patient)
            if subject := _SUBJECT.match(patient.name):
                self._by_subject[name_key(subject[0])].append(patient)

    def of(self, mask: Path) -> VolumePatient | None:
        subject = _SUBJECT.match(mask.name)
        names = [(self._by_name, name) for name in _names_of(mask)]
        names += [(self._by_subject, subject[0])] if subject else []
        for owners, name in names:
            if alike := owners.get(name_key(name)):
                return alike[0] if len(alike) == 1 else None
        return None


class _Neighbors:
    """Whose a mask of another name is: that of the one FLAIR which lies with it in a folder of the set, where it is the
    only mask (`EGD-0001/4_FLAIR/NIFTI/FLAIR`, `EGD-0001/5_MASK/NIFTI/MASK`)."""

    def __init__(self, folder: Path, patients: Iterable[VolumePatient], masks: Iterable[Path]) -> None:
        self._patients: dict[Path, list[VolumePatient]] = defaultdict(list)
        self._masks: Counter[Path] = Counter()
        for patient in patients:
            for place in _places(patient.files[Kind.FLAIR][0], folder):
                self._patients[place].append(patient)
        for mask in masks:
            self._masks.update(_places(mask, folder))
        self._folder = folder

    def of(self, mask: Path) -> VolumePatient | None:
        place = next((one for one in _places(mask, self._folder) if one in self._patients), None)
        # Beside its FLAIR a mask has its name (`volumes.list_brats`).
        if place is None or place == mask.parent or self._masks[place] > 1 or len(self._patients[place]) > 1:
            return None
        (owner,) = self._patients[place]
        if owner.first(Kind.SEG) or is_of_part(mask) or self._is_of_another(mask, owner.files[Kind.FLAIR][0], place):
            return None
        owner.name = place.name
        return owner

    def _is_of_another(self, mask: Path, flair: Path, place: Path) -> bool:
        """Whether a mask names another patient than its neighbor, or lies in the folder of another time."""
        of_mask, of_flair = (
            {name_key(part) for part in path.relative_to(place).parts[:-1] if is_time(part)} for path in (mask, flair)
        )
        return (bool(of_mask and of_flair) and of_mask != of_flair) or is_of_another(mask, flair, self._folder)


def _places(path: Path, folder: Path) -> Iterator[Path]:
    """The folders around a file, the nearest first, that lie below the set's."""
    yield from (one for one in path.parents if one != folder and one.is_relative_to(folder))


def _names_of(mask: Path) -> Iterator[str]:
    """What its patient may be called, the most telling first."""
    stem = mask.name[: -len(suffix_of(mask.name))]
    base = base_of_mask(stem)
    named = split_brats_name(base)
    if named is not None and named[1] is Kind.FLAIR:
        base = named[0]
    shown = _SHOWS.sub("", base)
    yield from dict.fromkeys((base or mask.parent.name, shown or mask.parent.name, _SPACE.sub("", shown)))


def _name(patients: Iterable[VolumePatient], folder: Path) -> None:
    """Call patients of one name in several folders by these, too."""
    names: dict[str, list[VolumePatient]] = defaultdict(list)
    for patient in patients:
        names[name_key(patient.name)].append(patient)
    for patient in (one for alike in names.values() if len(alike) > 1 for one in alike):
        place = patient.others[0].parent.relative_to(folder).as_posix()
        patient.name = place if place.rpartition("/")[2] == patient.name else f"{place}/{patient.name}"
