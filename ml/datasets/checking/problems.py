"""What can be wrong with a data set: a code for programs, the files, and a sentence with the remedy."""

from dataclasses import dataclass

CODES = {
    "missing_mask": "an image has no mask",
    "doubled_mask": "an image has several masks",
    "doubled_image": "several images share a name, and so a mask",
    "mask_without_image": "a mask belongs to no image",
    "missing_image": "annotations name an image that is not there",
    "bad_annotation": "an annotation is damaged",
    "unreadable_image": "an image cannot be read",
    "unreadable_mask": "a mask cannot be read",
    "unequal_size": "mask and image differ in size",
    "non_binary_mask": "a mask has more than background and tumor",
    "duplicate_image": "two patients have an image with the same pixels",
}


@dataclass(frozen=True)
class Problem:
    """One fault. files: paths relative to the data set's folder. message: what is wrong and how to mend it."""

    code: str
    files: tuple[str, ...]
    message: str
