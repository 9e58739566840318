"""COCO's layout: which files are its annotations; and of all annotations the images that none of them names."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FOLDER, is_annotations, is_usually_coco, may_be_annotations
from ml.datasets.layouts.annotation_files import AnnotationFile, read_coco_document
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.coco import begins_as_coco, read_annotations
from ml.datasets.layouts.layout import Layout, LayoutName
from ml.datasets.layouts.pairing import patient_of
from ml.datasets.layouts.pairs import pair_folders
from ml.datasets.layouts.roots import SUBSETS, Root
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS
from ml.datasets.mask_names import looks_like_mask

# FiftyOne keeps its images in `data` (https://docs.voxel51.com, COCODetectionDataset).
_IMAGE_FOLDERS = (*IMAGE_FOLDERS, "data")
_NOT_ANNOTATED_MASK = "A mask by its name, and the masks are the outlines of annotations: remove one or the other."


def coco_files(tree: Tree, root: Root) -> list[tuple[AnnotationFile, str | None]]:
    """The files of annotations of a root, and the side that each is."""
    files = [path for path in tree.listing(root.folder).files if is_annotations(path.name)]
    beside = tree.folder(root.folder, [ANNOTATIONS_FOLDER])
    files += [path for path in (tree.listing(beside).files if beside else ()) if is_annotations(path.name)]
    files = files or list(_coco_by_content(tree, root.folder))
    return [_coco_file(tree, root, path, len(files) > 1) for path in files]


def list_annotated(
    tree: Tree, folder: Path, name: LayoutName, sources: list[tuple[AnnotationFile, str | None]]
) -> Layout:
    """The images of files of annotations, and those beside them that none of these names."""
    parts, problems, categories = read_annotations(folder, [source for source, _ in sources], tree)
    sided = [(case, side) for part, (_, side) in zip(parts, sources, strict=True) for case in part]
    listed = {case.image for case, _ in sided}
    places = {source.images[0]: (source, side) for source, side in reversed(sources)}
    for place, (source, side) in reversed(places.items()):
        for path in (path for path in tree.images(place) if path not in listed):
            file = path.relative_to(folder).as_posix()
            if looks_like_mask(path.name):
                problems.append(Problem("mask_name", (file,), _NOT_ANNOTATED_MASK))
                continue
            sided.append((Case(source.patient or patient_of(path.stem, source.prefix), path, None), side))
            problems.append(Problem("missing_mask", (file,), "No annotations name the image: annotate or remove it."))
    layout = assemble(name, folder, sided, problems, tuple(categories))
    return replace(layout, annotations=tuple(source.path for source, _ in sources))


def has_bare_images(tree: Tree, folder: Path) -> bool:
    """Whether images without masks lie in the folder, `images` or `data`, or in `train`, `val` and `test` there."""
    place = tree.folder(folder, _IMAGE_FOLDERS) or folder
    images = [path.name for one in (place, *tree.folders(place, SUBSETS)) for path in tree.images(one)]
    return bool(images) and not pair_folders(tree, folder) and not any(map(looks_like_mask, images))


def _coco_by_content(tree: Tree, folder: Path) -> Iterator[Path]:
    """Files of other names that hold COCO annotations, in the folder or in `annotations`, where images without masks
    lie in the folder or in `images`, or in their `train`, `val` and `test`."""
    if not has_bare_images(tree, folder):
        return
    files = [path for one in (folder, *tree.folders(folder, [ANNOTATIONS_FOLDER])) for path in tree.listing(one).files]
    named = [path for path in files if may_be_annotations(path.name) and not path.is_symlink()]
    found = [path for path in named if begins_as_coco(path)]
    # Of several files of other names nobody knows which is which: a version of all images, or a part of them.
    yield from (path for path in found if len(found) == 1 or is_usually_coco(path.name))


def _coco_file(tree: Tree, root: Root, path: Path, is_one_of_several: bool) -> tuple[AnnotationFile, str | None]:
    """`instances_SUBSET.json`, `train.json`: its images lie in `images/SUBSET`, `SUBSET` or `images`; else beside the
    file."""
    stem = path.stem.lower()
    subset = stem.removeprefix("instances_") if stem.startswith("instances_") or stem in SUBSETS else ""
    side = SUBSETS.get(re.sub(r"\d+$", "", subset), root.side)  # COCO's own: instances_train2017.json
    images = tree.folder(root.folder, _IMAGE_FOLDERS)
    within = tree.folder(images, [subset]) if images and subset else None
    beside = tree.folder(root.folder, [subset]) if subset else None
    folders = tuple(found for found in (within, beside, images, root.folder) if found is not None)
    prefix = f"{root.prefix}{subset}/" if is_one_of_several else root.prefix
    return AnnotationFile(path, folders, prefix, read_coco_document), side
