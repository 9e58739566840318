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
# What tools draw besides tumors, joined or apart: "_artifact", "motionArtefacts", LabelMe's "__ignore__".
_OTHER = re.compile(r"artif[ae]ct|artef[ae]ct|ignore|unlabel|unannotat|unclassified")
_OTHER_WORDS = frozenset(
    {"artery", "arteries", "blank", "bleeding", "blood", "bone", "cyst", "dura", "empty", "eye", "eyes", "ghosting"}
    | {"haemorrhage", "hematoma", "hemorrhage", "infarct", "infarction", "ischemia", "motion", "noise", "none"}
    | {"nothing", "orbit", "orbits", "plaque", "stroke", "text", "vein", "veins", "vessel", "vessels", "void", "wmh"}
)
_FREE = re.compile(r"\b(?:tumor|lesion) free\b|\bfree of (?:tumor|lesion)s?\b")
_ANATOMY = frozenset(
    {"area", "brain", "csf", "gray", "grey", "head", "matter", "region", "scalp", "skull", "tissue"}
    | {"brainstem", "cerebellum", "cerebrum", "hemisphere", "left", "midline", "right", "stem"}
    | {"ventricle", "ventricles", "white", "whole"}
)


def is_tumor(name: str) -> bool:
    """Whether annotations of a category count as tumor: all but those that say themselves that they are none."""
    words = re.findall(r"[^\W_]+", name_key(name))
    if "".join(words) in _NOT_TUMOR or any(word in _HEALTHY and not _is_denied(words, word) for word in words):
        return False
    if words and all(word in _ANATOMY for word in words):
        return False
    is_named = any(word in _TUMOR for word in words)
    if not is_named and (_OTHER.search("".join(words)) or any(word in _OTHER_WORDS for word in words)):
        return False
    return not any(word in _TUMOR and _is_denied(words, word) for word in words) and not _FREE.search(_plain(words))


def names_tumor(name: str) -> bool:
    """Whether a name says of itself that it is a tumor's, not only of nothing else."""
    return is_tumor(name) and any(word in _TUMOR for word in re.findall(r"[^\W_]+", name_key(name)))


def _is_denied(words: Sequence[str], word: str) -> bool:
    """Whether "no", or another such word, stands right before: "non-tumor" is none, "non-enhancing tumor" is one."""
    before = words[: words.index(word)]
    return bool(before) and before[-1] in _DENYING


def _plain(words: Sequence[str]) -> str:
    return " ".join(words).replace("tumour", "tumor")
