"""Annotations of LabelMe, CVAT and YOLO beside images without masks: which files they are, and of which images.

A file that is of one image alone fails this one where it cannot be read. An image that has none is left out by name:
that it has no tumor is said by a file without an outline.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ml.datasets.case import Case
from ml.datasets.checking.file_checks import check_files
from ml.datasets.file_names import ANNOTATIONS_FOLDER, is_text, name_key
from ml.datasets.layouts.annotation_files import AnnotationFile
from ml.datasets.layouts.annotations import Grid
from ml.datasets.layouts.cvat_xml import begins_as_cvat, read_cvat
from ml.datasets.layouts.labelme import begins_as_labelme, read_labelme
from ml.datasets.layouts.layout import LayoutName
from ml.datasets.layouts.roots import SUBSETS, Root
from ml.datasets.layouts.tree import LinkOutError, Tree
from ml.datasets.layouts.unknown import IMAGE_FOLDERS
from ml.datasets.layouts.yolo import NAMES_FILES, begins_as_yolo, read_names, read_yolo
from ml.datasets.mask_names import looks_like_mask

Sources = list[tuple[AnnotationFile, str | None]]
# Folders of files for each image, beside `images` or in the folder of the images.
_LABELS = ("labels", "label")
_BESIDE = (ANNOTATIONS_FOLDER, "annotation", *_LABELS, "ann", "json", "jsons", "labelme")


def outline_files(tree: Tree, roots: Sequence[Root]) -> tuple[LayoutName, Sources] | None:
    """Whose annotations the roots have, and the files with the side that each is; None where they have none, or masks.

    Raises AnnotationsError for names of classes that cannot be read.
    """
    kinds: tuple[tuple[LayoutName, Callable[[Tree, Sequence[Root]], Sources]], ...] = (
        ("CVAT", _cvat_files),
        ("LabelMe", _labelme_files),
        ("YOLO", _yolo_files),
    )
    for name, find in kinds:
        sources = find(tree, roots)
        if sources and _are_bare(tree, roots[0].folder):
            return name, sources
    return None


def _are_bare(tree: Tree, folder: Path) -> bool:
    """Whether there are images, and none of them is a mask by its name or its folder."""
    pictures = [path for here, _ in tree.walk(folder) for path in tree.images(here)]
    return bool(pictures) and not any(looks_like_mask(path.relative_to(folder).as_posix()) for path in pictures)


def _files(tree: Tree, folder: Path | None, suffix: str) -> list[Path]:
    """Files of this ending, links apart."""
    files = tree.listing(folder).files if folder else ()
    return [path for path in files if path.suffix.lower() == suffix and not path.is_symlink()]


def _cvat_files(tree: Tree, roots: Sequence[Root]) -> Sources:
    """`annotations.xml` beside the images or `images`."""
    sources: Sources = []
    for root in roots:
        folders = (*tree.folders(root.folder, IMAGE_FOLDERS)[:1], root.folder)
        places = (root.folder, *tree.folders(root.folder, [ANNOTATIONS_FOLDER]))
        for path in (path for place in places for path in _files(tree, place, ".xml")):
            if begins_as_cvat(path):
                sources.append((AnnotationFile(path, folders, root.prefix, read_cvat), root.side))
    return sources


def _labelme_files(tree: Tree, roots: Sequence[Root]) -> Sources:
    """A JSON file for each image, beside it or in a folder of such files beside the images'; also in a folder for each
    patient."""
    sources: Sources = []
    for root in roots:
        own = [root.folder, *tree.folders(root.folder, IMAGE_FOLDERS)]
        apart = tree.folders(root.folder, _BESIDE)
        known = {*own, *apart, *(one.folder for one in roots)}
        patients = [path for path in tree.listing(root.folder).folders if path not in known] if not root.prefix else []
        for place in (*own, *patients):
            patient = place.name if place in patients else ""
            images = {name_key(path.stem): path for path in tree.images(place)}
            beside = _files(tree, place, ".json")
            if not patient:
                others = (path for folder in apart for path in _files(tree, folder, ".json"))
                beside += [path for path in others if name_key(path.stem) in images]
            for path in filter(begins_as_labelme, beside):
                image = images.get(name_key(path.stem))
                sources.append((_labelme_file(root, path, place, image, list(images.values()), patient), root.side))
    return sources


def _labelme_file(
    root: Root, path: Path, place: Path, image: Path | None, images: Iterable[Path], patient: str
) -> AnnotationFile:
    names = frozenset(one.name for one in images)
    read = partial(read_labelme, images=names, image=image.name if image else "")
    return AnnotationFile(path, (place,), root.prefix, read, image, patient, "LabelMe's annotations")


class _Folders(NamedTuple):
    """Folders of images and of their labels. names: of the classes."""

    images: Path
    labels: Path
    prefix: str
    patient: str
    side: str | None
    names: dict[str, str]


def _yolo_files(tree: Tree, roots: Sequence[Root]) -> Sources:
    """`labels/NAME.txt` for `images/NAME.png`, also in folders of one name in both."""
    found = []
    for folders in (one for root in roots for one in _yolo_folders(tree, root, roots[0].folder)):
        images = {name_key(path.stem): path for path in tree.images(folders.images)}
        texts = [path for path in _files(tree, folders.labels, ".txt") if name_key(path.name) not in NAMES_FILES]
        if any(map(begins_as_yolo, texts)):
            found += [(folders, path, images.get(name_key(path.stem))) for path in texts]
    grids = _grids(tree, [image for _, _, image in found if image is not None])
    sources: Sources = []
    for folders, path, image in found:
        name = image.name if image else f"{path.stem}.png"
        read = partial(read_yolo, image=name, grid=grids.get(image) if image else None, names=folders.names)
        places = (folders.images,)
        source = AnnotationFile(path, places, folders.prefix, read, image, folders.patient, "YOLO's annotations")
        sources.append((source, folders.side))
    return sources


def _yolo_folders(tree: Tree, root: Root, around: Path) -> Iterator[_Folders]:
    images, labels = tree.folder(root.folder, IMAGE_FOLDERS), tree.folder(root.folder, _LABELS)
    if images is None or labels is None:
        return
    files = [path for folder in dict.fromkeys((root.folder, around, labels)) for path in tree.listing(folder).files]
    known = next((path for name in NAMES_FILES for path in files if name_key(path.name) == name), None)
    if known is not None:
        tree.check(known)
    names = {} if known is None else read_names(known)
    yield _Folders(images, labels, root.prefix, "", root.side, names)
    for inner in tree.listing(images).folders:
        key = name_key(inner.name)
        beside = tree.folder(labels, [key])
        if beside is not None:
            side = SUBSETS.get(key, root.side)
            patient = "" if key in SUBSETS else inner.name
            yield _Folders(inner, beside, f"{root.prefix}{inner.name}/", patient, side, names)


def _grids(tree: Tree, images: Sequence[Path]) -> dict[Path, Grid]:
    """The sizes of images, read in sandboxed processes; of those that cannot be read none."""
    readable = []
    for path in (path for path in images if is_text(str(path))):
        try:
            tree.check(path)
        except LinkOutError:
            continue
        readable.append(path)
    checks = check_files([Case("", path, None) for path in readable]) if readable else ()
    return {
        path: (int(seen.image_size[0]), int(seen.image_size[1]))
        for path, seen in zip(readable, checks, strict=True)
        if seen.image_size is not None
    }
