"""What puts a result in doubt, in the few words that travel with it: in objects for archives, files, pictures.

The sentences of warnings are in `webapp.schemas.warnings`, which takes its chips of these from here.
"""

from ml.measurements import VOIDING_WARNINGS, Verdict
from ml.ood.background import BRIGHT_BACKGROUND
from ml.ood.detector import UNLIKE
from ml.ood.sequences import CHANNEL_ORDER, FLAIR_MISSING, MIXED_SEQUENCES, NOT_FLAIR, SEQUENCE_UNCHECKED
from webapp.domain.errors import NotAssessed
from webapp.domain.scans.joining import FRAMES_DIFFER, HEADS_APART
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.stacking import SLICES_MISSING, SLICES_REFUSED

WORDS = {
    UNLIKE: "Unlike the training data",
    BRIGHT_BACKGROUND: "Bright background",
    NOT_FLAIR: "Not FLAIR",
    SEQUENCE_UNCHECKED: "Sequence not known",
    MIXED_SEQUENCES: "Mixed sequences",
    CHANNEL_ORDER: "Channels in another order",
    FLAIR_MISSING: "Empty FLAIR channel",
    SLICES_MISSING: "Slices missing",
    SLICES_REFUSED: "Slices refused",
    FRAMES_DIFFER: "Positions may differ",
    HEADS_APART: "Heads apart",
}


def is_assessed(run: Segmentation) -> bool:
    """Whether a succeeded run has a verdict; without one, what is marked is no finding."""
    return run.verdict is not Verdict.NOT_ASSESSED


def doubt_of(scan: Scan, run: Segmentation) -> str:
    """What a reader of a succeeded run's figures must know, in one or two short sentences; empty where nothing is."""
    codes = [code for code in WORDS if code in (*scan.warnings, *run.warnings)]
    if not is_assessed(run):
        reasons = [code for code in codes if code in VOIDING_WARNINGS]
        reason = f"No verdict: {_listed(reasons)}." if reasons else "No verdict."
        return f"{reason} What is marked is no finding, and nothing marked is no all-clear."
    sentences = []
    if run.verdict is Verdict.UNCERTAIN:
        sentences.append("Uncertain: something was seen that does not count as tumor.")
    if codes:
        sentences.append(f"In doubt: {_listed(codes)}.")
    return " ".join(sentences)


def short_doubt(scan: Scan, run: Segmentation) -> str:
    """The same in at most 30 letters, where there is room for no more."""
    if not is_assessed(run):
        return "Not assessed: no finding."
    return "In doubt: see the result." if doubt_of(scan, run) else ""


def check_assessed(scan: Scan, run: Segmentation) -> None:
    """Raises NotAssessed for a run without a verdict, which programs that show masks would show as a finding."""
    if not is_assessed(run):
        raise NotAssessed(
            f"{doubt_of(scan, run)} Other programs would show it as a tumor, or as none; read the right series, or ask"
            " for what was marked nevertheless (unassessed=1)."
        )


def _listed(codes: list[str]) -> str:
    return ", ".join(WORDS[code][0].lower() + WORDS[code][1:] for code in codes)
