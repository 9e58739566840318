"""The layout of a folder for each patient, with each mask beside its image."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.copies import copies_of, copy_problems
from ml.datasets.layouts.label_colors import check_label_map
from ml.datasets.layouts.layout import Layout, LayoutName
from ml.datasets.layouts.pairing import images_and_masks, pair, patient_of, told_by_pixels
from ml.datasets.layouts.roots import Root, named
from ml.datasets.layouts.sequences import flair_folder, other_sequences
from ml.datasets.layouts.swapped_words import OTHER_SEQUENCE, join_swapped
from ml.datasets.layouts.tree import Tree

# Behind the slice's name, of the folder that LabelMe makes of its file.
_OF_ONE_SLICE = "_json"


def list_patients(tree: Tree, folder: Path, roots: list[Root]) -> Layout:
    """Patient folders; a root's own images too, for a person who gives one patient's folder."""
    sided: list[tuple[Case, str | None]] = []
    problems: list[Problem] = []
    places: list[tuple[Path, Callable[[str], str], str | None]] = []
    subsets = {root.folder for root in roots}
    for root in roots:
        groups = [(root.folder, partial(patient_of, prefix=root.prefix))]
        folders = [path for path in tree.listing(root.folder).folders if path not in subsets]
        copies = copies_of(tree, folders)
        problems.extend(copy_problems(copies, tree, folder))
        inner = [path for path in folders if path not in copies]
        of_one = flair_folder(tree, root.folder) if not root.prefix else None
        if of_one is not None:  # the folder of one patient, who is called as it is
            groups.append((of_one, partial(named, root.folder.name)))
            problems.extend(other_sequences(tree, root.folder, of_one, folder))
            inner = []
        for path in inner:
            flair = flair_folder(tree, path)
            groups.append((flair or path, partial(named, _owner_of(path.name))))
            problems.extend(other_sequences(tree, path, flair, folder) if flair else ())
        places += [(path, group, root.side) for path, group in groups]
    joined = [join_swapped(images_and_masks(tree.images(path))) for path, _, _ in places]
    problems.extend(
        Problem("left_out", tuple(path.relative_to(folder).as_posix() for path in others), OTHER_SEQUENCE)
        for _, others in joined
        if others
    )
    files, notes = told_by_pixels(tree, [own for own, _ in joined])
    problems.extend(notes)
    for own, (path, group, side) in zip(files, places, strict=True):
        if own.masks:
            check_label_map(tree, path)
        found, faults = pair(own, group, folder)
        sided.extend((case, side) for case in found)
        problems.extend(faults)
    name: LayoutName = "patient folders" if any(case.has_truth for case, _ in sided) else "images only"
    return assemble(name, folder, sided, problems)


def _owner_of(folder: str) -> str:
    """The patient whose folder it is; of one that `labelme_export_json` made of a slice (`NAME_json`) the slice's."""
    return patient_of(folder.removesuffix(_OF_ONE_SLICE)) if folder.endswith(_OF_ONE_SLICE) else folder
