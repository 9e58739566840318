"""Which categories, or labels, of annotations are tumor: by their names, as every exporter writes its own."""

import re
from collections.abc import Sequence
from unicodedata import normalize

from ml.datasets.file_names import name_key

# Names of categories, without what is no letter, whose annotations are no tumor.
_NOT_TUMOR = frozenset(
    {"background", "bg", "brain", "head", "healthy", "healthybrain", "negative", "normal", "normalbrain", "skull"}
    | {f"{no}{tumor}" for no in ("no", "non") for tumor in ("tumor", "tumors", "tumour", "tumours")}
    | {"tumorfree", "tumourfree"}
    # Chinese, in both scripts, Japanese, Korean and Russian: normal, healthy, background, brain, ventricle, no tumor.
    | {"正常", "健康", "背景", "脑", "腦", "脳", "大脑", "大腦", "脑室", "腦室", "脳室", "头", "頭", "颅骨", "頭蓋骨"}
    | {"无肿瘤", "無腫瘤", "没有肿瘤", "非肿瘤", "腫瘍なし", "정상", "배경", "뇌", "뇌실", "종양없음"}
    | {"норма", "здоровая", "здоровый", "фон", "мозг", "желудочек", "желудочки", "нетопухоли", "безопухоли"}
)

# Single words of such names: "normal tissue", "No lesion", "white matter"; also in German, French, Spanish, Italian and
# Portuguese ("kein Tumor", "cerveau sain", "sin tumor").
_HEALTHY = frozenset(
    {"background", "healthy", "negative", "normal", "nontumor", "nontumour", "unaffected"}
    | {"hintergrund", "gesund", "gesundes", "normales", "negativ", "fond", "arriere", "sain", "saine", "fondo", "sano"}
    | {"sana", "sfondo", "fundo", "saudavel", "negativo"}
)
_DENYING = frozenset(
    {"no", "non", "not", "without", "zero", "kein", "keine", "keinen", "ohne", "nicht", "pas", "sans", "aucune"}
    | {"aucun", "sin", "senza", "nessun", "nessuna", "sem", "nenhum", "nenhuma"}
)
# What stands between: "pas de tumeur".
_LINKING = frozenset({"de", "d", "di", "any", "a", "un", "una", "une"})
_TUMOR = frozenset(
    {"abnormality", "cancer", "disease", "finding", "findings", "glioma", "lesion", "lesions", "mass", "pathology"}
    | {"tumor", "tumors", "tumour", "tumours", "tumoral", "tumore", "tumoren", "tumeur", "tumeurs"}
    | {"tumores", "tumori", "lasion", "lesione", "lesoes", "lesao"}
)
# What tools draw besides tumors, joined or apart: "_artifact", "motionArtefacts", LabelMe's "__ignore__".
_OTHER = re.compile(r"artif[ae]ct|artef[ae]ct|ignore|unlabel|unannotat|unclassified")
_OTHER_WORDS = frozenset(
    {"artery", "arteries", "blank", "bleeding", "blood", "bone", "cyst", "dura", "empty", "eye", "eyes", "ghosting"}
    | {"haemorrhage", "hematoma", "hemorrhage", "infarct", "infarction", "ischemia", "motion", "noise", "none"}
    | {"nothing", "orbit", "orbits", "plaque", "stroke", "text", "vein", "veins", "vessel", "vessels", "void", "wmh"}
    # What BraTS has after surgery, and organs that radiotherapy spares.
    | {"cavity", "cavities", "chiasm", "cochlea", "cord", "hippocampus", "lens", "lenses", "optic"}
    | {"artefakt", "auge", "augen", "blutung", "gefass", "gefasse", "knochen", "liquor", "narbe", "schlaganfall"}
)
_ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")  # of Latin letters alone
_FREE = re.compile(r"\b(?:tumor|lesion) free\b|\bfree of (?:tumor|lesion)s?\b")
_ANATOMY = frozenset(
    {"area", "brain", "csf", "gray", "grey", "head", "matter", "region", "scalp", "skull", "tissue"}
    | {"brainstem", "cerebellum", "cerebrum", "hemisphere", "left", "midline", "right", "stem"}
    | {"ventricle", "ventricles", "white", "whole"}
    | {"cerebro", "cerveau", "cervello", "gehirn", "hirn", "hirnstamm", "kleinhirn", "kopf", "schadel", "tete"}
    | {"cabeza", "cabeca", "crane", "craneo", "cranio", "encefalo", "tejido", "gewebe", "tissu", "tessuto"}
    | {"ventrikel", "ventrikeln", "ventricule", "ventricules", "ventriculo", "ventriculos", "ventricolo", "ventricoli"}
    | {"links", "linke", "linker", "rechts", "rechte", "rechter", "gauche"}
    | {"droite", "droit", "izquierdo", "derecho", "weisse", "graue", "substanz"}
)


def is_tumor(name: str) -> bool:
    """Whether annotations of a category count as tumor: all but those that say themselves that they are none."""
    words = _words(name)
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
    return is_tumor(name) and any(word in _TUMOR for word in _words(name))


def _is_denied(words: Sequence[str], word: str) -> bool:
    """Whether "no", or another such word, stands right before: "non-tumor" is none, "non-enhancing tumor" is one."""
    before = [one for one in words[: words.index(word)] if one not in _LINKING]
    return bool(before) and before[-1] in _DENYING


def _words(name: str) -> list[str]:
    """Words in lower case, Latin ones without accents: "Läsion", "lesão" and "tête" as people type them in a hurry."""
    plain = normalize("NFC", _ACCENTS.sub("", normalize("NFD", name_key(name))))
    return re.findall(r"[^\W_]+", plain)


def _plain(words: Sequence[str]) -> str:
    return " ".join(words).replace("tumour", "tumor")
