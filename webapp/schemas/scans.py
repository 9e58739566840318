"""The JSON of a scan, a segmentation and a model: the same for the API and the pages."""

from datetime import UTC, datetime
from typing import Any

from flask import url_for
from sqlalchemy.orm import Session

from ml.ood.detector import UNLIKE
from ml.scans import WARNINGS
from webapp.domain.catalog.entries import CatalogEntry
from webapp.domain.jobs import lifecycle
from webapp.domain.scans.models import Scan, Segmentation

# Warnings are kept as codes and shown with their sentences: the readers' own, the model's, and the portal's.
WARNING_MESSAGES = {
    **WARNINGS,
    UNLIKE: (
        "The model finds this scan unlike the brain MRI slices that it was trained on; its verdict and confidence may"
        " mean nothing here."
    ),
    "synthetic": "This scan is a synthetic phantom, not a patient.",
}


def scan_json(session: Session, scan: Scan, shown: Segmentation | None = None) -> dict[str, Any]:
    """A scan with the run to show (by default its own)."""
    run = shown if shown is not None else scan.displayed
    return {
        "id": scan.id,
        "filename": scan.filename,
        "origin": scan.origin,
        "format": scan.format,
        "created_at": timestamp(scan.created_at),
        "width": scan.width,
        "height": scan.height,
        "slice_count": scan.slice_count,
        # A single slice states no distance between slices: the readers say 0, which is no distance.
        "spacing_mm": [value or None for value in scan.spacing_mm] if scan.spacing_mm else None,
        "sha256": scan.sha256,
        "bytes": scan.bytes,
        "segmentation": None if run is None else segmentation_json(session, run, scan.warnings),
        "links": scan_links(scan.id),
    }


def segmentation_json(session: Session, run: Segmentation, scan_warnings: list[str] | None = None) -> dict[str, Any]:
    """One run; figures are null before it has succeeded."""
    return {
        "id": run.id,
        "scan_id": run.scan_id,
        "status": run.status.value,
        "model": run.model,
        "model_version": run.model_version,
        "engine": run.engine,
        "threshold": run.threshold,
        "min_tumor_pixels": run.min_tumor_pixels,
        "verdict": run.verdict.value if run.verdict else None,
        "tumor_pixels": run.tumor_pixels,
        "total_pixels": run.total_pixels,
        "coverage_percent": _rounded(run.coverage_percent, 4),
        "max_probability": _rounded(run.max_probability, 4),
        "area_mm2": _rounded(run.area_mm2, 2),
        "volume_mm3": _rounded(run.volume_mm3, 1),
        "slices": [{**item, "max_probability": _rounded(item["max_probability"], 4)} for item in run.slices or []],
        "timings_ms": run.timings_ms,
        "attempt": run.attempt,
        "created_at": timestamp(run.created_at),
        "finished_at": timestamp(run.finished_at) if run.finished_at else None,
        "queue_position": lifecycle.queue_position(session, run),
        "warnings": [
            {"code": code, "message": WARNING_MESSAGES.get(code, code)}
            for code in [*(scan_warnings or []), *run.warnings]
        ],
        "error": {"code": run.error_code, "message": run.error_message} if run.error_code else None,
    }


def scan_links(scan_id: str) -> dict[str, str]:
    """Where a scan's parts are."""
    pictures = ("panels", "mask", "overlay", "heatmap", "probability", "scan", "thumbnail")
    return {
        "self": url_for("api-scans.ScanItem", scan_id=scan_id),
        "page": url_for("scans.show", scan_id=scan_id),
        **{kind: url_for("api-scans.picture", scan_id=scan_id, kind=kind) for kind in pictures},
        "download": url_for("api-scans.download", scan_id=scan_id),
        "original": url_for("api-scans.original", scan_id=scan_id),
        "segmentations": url_for("api-scans.ScanSegmentations", scan_id=scan_id),
    }


def model_json(entry: CatalogEntry) -> dict[str, Any]:
    """A card as its file has it, which of its files are there, and whether the model can be used."""
    card = entry.card.to_json() if entry.card is not None else {"name": entry.name}
    for name, file in card.get("files", {}).items():
        file["present"] = name in entry.files_present
    return {**card, "usable": entry.problem is None, "problem": entry.problem}


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
