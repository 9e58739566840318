"""COCO's layout: which files are its annotations, and the images that none of them names."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ml.datasets.case import Case
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FOLDER, is_annotations, is_usually_coco, may_be_annotations
from ml.datasets.layouts.assembly import assemble
from ml.datasets.layouts.coco import CocoFile, begins_as_coco, read_coco
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.pairs import pair_folders
from ml.datasets.layouts.roots import SUBSETS, Root
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS
from ml.datasets.mask_names import looks_like_mask

_NOT_ANNOTATED_MASK = (
    "A mask by its name, and the masks are the outlines of COCO's annotations: remove one or the other."
)


def coco_files(tree: Tree, root: Root) -> list[tuple[CocoFile, str | None]]:
    """The files of annotations of a root, and the side that each is."""
    files = [path for path in tree.listing(root.folder).files if is_annotations(path.name)]
    beside = tree.folder(root.folder, [ANNOTATIONS_FOLDER])
    files += [path for path in (tree.listing(beside).files if beside else ()) if is_annotations(path.name)]
    files = files or list(_coco_by_content(tree, root.folder))
    return [_coco_file(tree, root, path, len(files) > 1) for path in files]


def list_coco(tree: Tree, folder: Path, sources: list[tuple[CocoFile, str | None]]) -> Layout:
    parts, problems, categories = read_coco(folder, [source for source, _ in sources], tree)
    sided = [(case, side) for part, (_, side) in zip(parts, sources, strict=True) for case in part]
    listed = {case.image for case, _ in sided}
    for source, side in sources:
        for path in tree.images(source.images[0]):
            if path not in listed:
                listed.add(path)
                name = path.relative_to(folder).as_posix()
                if looks_like_mask(path.name):
                    problems.append(Problem("mask_name", (name,), _NOT_ANNOTATED_MASK))
                    continue
                sided.append((Case(f"{source.prefix}{path.stem}", path, None), side))
                text = "No annotations name the image: annotate or remove it."
                problems.append(Problem("missing_mask", (name,), text))
    layout = assemble("COCO", folder, sided, problems, tuple(categories))
    return replace(layout, annotations=tuple(source.path for source, _ in sources))


def _coco_by_content(tree: Tree, folder: Path) -> Iterator[Path]:
    """Files of other names that hold COCO annotations, in the folder or in `annotations`, where images without masks
    lie in the folder or in `images`, or in their `train`, `val` and `test`."""
    place = tree.folder(folder, IMAGE_FOLDERS) or folder
    images = [path.name for one in (place, *tree.folders(place, SUBSETS)) for path in tree.images(one)]
    if not images or pair_folders(tree, folder) or any(map(looks_like_mask, images)):
        return
    files = [path for one in (folder, *tree.folders(folder, [ANNOTATIONS_FOLDER])) for path in tree.listing(one).files]
    named = [path for path in files if may_be_annotations(path.name) and not path.is_symlink()]
    found = [path for path in named if begins_as_coco(path)]
    # Of several files of other names nobody knows which is which: a version of all images, or a part of them.
    yield from (path for path in found if len(found) == 1 or is_usually_coco(path.name))


def _coco_file(tree: Tree, root: Root, path: Path, is_one_of_several: bool) -> tuple[CocoFile, str | None]:
    """`instances_SUBSET.json`, `train.json`: its images lie in `images/SUBSET`, `SUBSET` or `images`; else beside the
    file."""
    stem = path.stem.lower()
    subset = stem.removeprefix("instances_") if stem.startswith("instances_") or stem in SUBSETS else ""
    side = SUBSETS.get(re.sub(r"\d+$", "", subset), root.side)  # COCO's own: instances_train2017.json
    images = tree.folder(root.folder, IMAGE_FOLDERS)
    within = tree.folder(images, [subset]) if images and subset else None
    beside = tree.folder(root.folder, [subset]) if subset else None
    folders = tuple(found for found in (within, beside, images, root.folder) if found is not None)
    prefix = f"{root.prefix}{subset}/" if is_one_of_several else root.prefix
    return CocoFile(path, folders, prefix), side
