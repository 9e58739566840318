"""The registry of codes with which an evaluation, or a case of one, may fail beside those of every job."""

FAILURE_CODES: dict[str, tuple[str, str]] = {
    "no_images": ("an evaluation", "the folder is no data set: no images in a layout that is known (docs/datasets.md)"),
    "bad_annotations": ("an evaluation", "its annotations cannot be read"),
    "outside_roots": ("an evaluation, or a case", "a link leads out of the allowed roots, or does by now"),
    "folder_refused": ("an evaluation, or a case", "the folder is gone, or not allowed any more"),
    "nothing_evaluated": (
        "an evaluation",
        "not one slice could be evaluated; the first one's sentence says why",
    ),
    "unreadable": (
        "an evaluation, or a case",
        "the folder or a file cannot be read, or image and mask differ in size",
    ),
    "changed": ("a case", "its file is not the one that was checked"),
    "bad_name": ("an evaluation, or a case", "its name is not UTF-8"),
    "bad_annotation": ("a case", "an annotation of it cannot be read, so its mask is not known"),
}
