"""Which layout (docs/datasets.md) a folder has, told by what lies in the very folder."""

from dataclasses import replace
from pathlib import Path

from ml.datasets.file_names import name_key
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.coco_sets import coco_files, list_annotated
from ml.datasets.layouts.dicom_sets import list_dicom
from ml.datasets.layouts.layout import Layout, LayoutName
from ml.datasets.layouts.outline_sets import outline_files
from ml.datasets.layouts.pairs import list_pairs, pair_folders, sided_pairs
from ml.datasets.layouts.patient_folders import list_patients
from ml.datasets.layouts.roots import SUBSETS, Root
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import UnknownLayoutError
from ml.datasets.layouts.volumes import VolumeSet, has_nnunet, list_brats, list_nnunet
from ml.datasets.layouts.volumes_apart import list_apart


def layout_in(tree: Tree, folder: Path) -> Layout:
    """The layout that lies in this very folder; one without cases where there is none.

    Raises UnknownLayoutError where slices and volumes with masks lie in it side by side.
    """
    found = [_slices_in(tree, folder)]
    sets: list[tuple[LayoutName, VolumeSet]] = [("BraTS", list_brats(tree, folder))]
    if has_nnunet(tree, folder) and not found[0].has_truth:
        sets.append(("nnU-Net", list_nnunet(tree, folder)))
    found += [_volume_layout(name, folder, one) for name, one in sets if one.cases]
    with_truth = [layout for layout in found if layout.has_truth]
    if len(with_truth) > 1:
        names = " and ".join(f"{layout.name} ({len(layout.cases):,} slices)" for layout in with_truth)
        raise UnknownLayoutError(
            folder, f"It holds several layouts side by side, {names}: give each a folder of its own."
        )
    return next(iter([*with_truth, *(layout for layout in found if layout.cases), *found]))


def apart_layout(tree: Tree, folder: Path) -> Layout:
    """The volumes anywhere below a folder whose masks lie in other folders; one without cases where none does."""
    return _volume_layout("volumes and masks", folder, list_apart(tree, folder))


def dicom_layout(tree: Tree, folder: Path) -> Layout:
    """The DICOM series and masks anywhere below a folder; one without cases where no file is such a mask."""
    return _volume_layout("DICOM", folder, list_dicom(tree, folder))


def _volume_layout(name: LayoutName, folder: Path, found: VolumeSet) -> Layout:
    return replace(assemble(name, folder, list(found.cases), list(found.problems)), volumes=found.used)


def _slices_in(tree: Tree, folder: Path) -> Layout:
    """The layout of pictures."""
    subsets = [
        Root(path, f"{path.name}/", SUBSETS[name_key(path.name)])
        for path in tree.listing(folder).folders
        if name_key(path.name) in SUBSETS
    ]
    roots = [Root(folder), *subsets]
    if sources := [found for root in roots for found in coco_files(tree, root)]:
        return list_annotated(tree, folder, "COCO", sources)
    if annotated := outline_files(tree, roots):
        return list_annotated(tree, folder, *annotated)
    sided = [] if pair_folders(tree, folder) else sided_pairs(tree, folder)
    if sided or any(pair_folders(tree, root.folder) for root in roots):
        return list_pairs(tree, folder, [*roots, *sided])
    return list_patients(tree, folder, roots)
