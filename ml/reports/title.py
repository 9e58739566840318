"""The title block of a report: what was evaluated, when, with what. One list for HTML, PDF and pages."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ml.version import VERSION


@dataclass(frozen=True)
class Title:
    """What a report is called. name: the evaluation's; data_set: the folder's or the archive's; made_at: UTC."""

    name: str
    data_set: str
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def described(self) -> dict[str, str]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "data_set": self.data_set,
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "program": f"Glioscope {VERSION}",
        }


def title_rows(title: dict[str, str], summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and values. title: of `Title.described`; summary: of report.json."""
    made_at = datetime.fromisoformat(title["made_at"])
    model = " ".join(part for part in (summary["model"], summary["model_version"]) if part)
    engine = summary["engine"]
    engine += " with test-time augmentation (four flips)" if summary.get("tta") else ""
    engine += " on FLAIR alone" if summary.get("grey") else ""
    counts = f"{_count(summary['slices'], 'slice')} of {_count(summary['patients'], 'patient')}"
    if "tumor_slices" in summary:
        counts += f", {summary['tumor_slices']:,} with tumor"
    return [
        ("Evaluation", title["name"]),
        ("Date", f"{made_at:%-d %B %Y, %H:%M} UTC"),
        ("Data set", title["data_set"]),
        ("Compared" if "tumor_slices" in summary else "Segmented", counts),
        ("Digest of the slices", summary["slices_sha256"] or "not known"),
        ("Model", model),
        ("Engine", engine),
        ("Threshold", f"{summary['threshold']}"),
        ("Smallest area", f"{summary['min_tumor_pixels']:,} pixels on the model's grid"),
        ("Speed", f"{summary['slices_per_second']:g} slices a second"),
        ("Program", title["program"]),
    ]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
