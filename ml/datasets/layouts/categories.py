"""Which categories, or labels, of annotations are tumor: by their names, as every exporter writes its own."""

import re
from collections.abc import Sequence

from ml.datasets.file_names import name_key

# Names of categories, without what is no letter, whose annotations are no tumor.
_NOT_TUMOR = frozenset(
    {"background", "bg", "brain", "head", "healthy", "healthybrain", "negative", "normal", "normalbrain", "skull"}
    | {f"{no}{tumor}" for no in ("no", "non") for tumor in ("tumor", "tumors", "tumour", "tumours")}
    | {"tumorfree", "tumourfree"}
)

# Single words of such names: "normal tissue", "No lesion", "white matter".
_HEALTHY = frozenset({"background", "healthy", "negative", "normal", "nontumor", "nontumour", "unaffected"})
_DENYING = frozenset({"no", "non", "not", "without", "zero"})
_TUMOR = frozenset(
    {"abnormality", "cancer", "disease", "finding", "findings", "glioma", "lesion", "lesions", "mass", "pathology"}
    | {"tumor", "tumors", "tumour", "tumours", "tumoral"}
)
_FREE = re.compile(r"\b(?:tumor|lesion) free\b|\bfree of (?:tumor|lesion)s?\b")
_ANATOMY = frozenset(
    {"area", "brain", "csf", "gray", "grey", "head", "matter", "region", "scalp", "skull", "tissue"}
    | {"ventricle", "ventricles", "white", "whole"}
)


def is_tumor(name: str) -> bool:
    """Whether annotations of a category count as tumor: all but those that say themselves that they are none."""
    words = re.findall(r"[^\W_]+", name_key(name))
    if "".join(words) in _NOT_TUMOR or any(word in _HEALTHY and not _is_denied(words, word) for word in words):
        return False
    if words and all(word in _ANATOMY for word in words):
        return False
    return not any(word in _TUMOR and _is_denied(words, word) for word in words) and not _FREE.search(_plain(words))


def _is_denied(words: Sequence[str], word: str) -> bool:
    """Whether "no", or another such word, stands right before: "non-tumor" is none, "non-enhancing tumor" is one."""
    before = words[: words.index(word)]
    return bool(before) and before[-1] in _DENYING


def _plain(words: Sequence[str]) -> str:
    return " ".join(words).replace("tumour", "tumor")
