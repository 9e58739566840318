"""The PDF report of one scan: what the result page says, in the form of `ml.reports.scan_pdf`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from webapp.context import resources
from webapp.domain.scans import agreement, doubts, figures, images, lookup, measurements
from webapp.domain.scans.images import Source
from webapp.domain.scans.models import Scan, Segmentation, Verdict
from webapp.schemas.labels import FORMATS, NO_TUMOR_COUNTED, OUTCOMES, threshold
from webapp.schemas.measurements import dump_measurements
from webapp.schemas.scans import dump_scan

if TYPE_CHECKING:
    from ml.cards import Card

_MOST_PICTURES = 3


def report_of(scan_id: str, segmentation_id: str | None) -> tuple[bytes, str]:
    """The report of a succeeded run as PDF, and what its file is called.

    Raises NotFound, NotReady, StorageUnavailable.
    """
    # fpdf2 takes 20 MB, which a process that writes no report does not pay for.
    from ml.reports.scan_pdf import KeyPicture, ScanReport, scan_pdf

    services = resources()
    with services.database.read() as session:
        scan = lookup.get(session, scan_id)
        run = lookup.finished_run(session, scan, segmentation_id)
        described = dump_scan(scan, run)
        wanted = measurements.source(scan, run)
        sources = [_sources(session, scan, run, index) for index in _key_slices(scan, run)]
    measured = dump_measurements(measurements.measure(services, wanted))
    beside = agreement.measure(services, scan, run)
    pictures = [
        KeyPicture(
            f"Slice {of_scan.slice_index + 1} of {scan.slice_count}",
            images.render(services, of_scan, "scan"),
            images.render(services, of_overlay, "overlay"),
        )
        for of_scan, of_overlay in sources
    ]
    shown = described["segmentation"]
    installed = resources().catalog.readable_card(run.model)
    card = installed if installed is not None and installed.release == run.model_version else None
    report = ScanReport(
        name=scan.filename,
        verdict=_verdict(shown),
        doubts=[*_doubts(described), *_contradiction(described, beside)],
        facts=_facts(described),
        figures=[*_figures(described, measured), *_beside_the_expert(described, beside)],
        figures_head="Figures" if doubts.is_assessed(run) else "Figures of what is marked: no finding",
        pictures=pictures,
        lesion_count=measured["lesion_count"],
        lesion_heads=_lesion_heads(described),
        lesions=[_lesion_row(lesion, is_single=scan.slice_count == 1) for lesion in measured["lesions"]],
        notes=[warning["message"] for warning in shown["warnings"] if warning["tone"] != "warn"],
        model=_model_rows(run, card, installed),
        metrics=_metric_rows(card),
        limits=card.limits if card else (),
    )
    return scan_pdf(report), f"{scan.stem}-report.pdf"


def _key_slices(scan: Scan, run: Segmentation) -> Sequence[int]:
    """The slice that the page opens with, and of a tumor on more slices those a quarter from its ends, or others."""
    marked = [item["index"] for item in run.slices or () if item["tumor_pixels"]]
    quarter = len(marked) // 4
    wanted = [images.default_slice(scan, run), *marked[quarter : quarter + 1], *marked[::-1][quarter : quarter + 1]]
    return sorted(list(dict.fromkeys([*wanted, *marked]))[:_MOST_PICTURES])


def _sources(session: Any, scan: Scan, run: Segmentation, index: int) -> tuple[Source, Source]:
    of_scan, of_overlay = (
        images.source(session, scan, kind=kind, slice_index=index, segmentation_id=run.id)
        for kind in ("scan", "overlay")
    )
    return of_scan, of_overlay


def _doubts(described: dict[str, Any]) -> list[str]:
    run = described["segmentation"]
    doubts = [warning["message"] for warning in run["warnings"] if warning["tone"] == "warn"]
    if words := _in_doubt(described):
        doubts.append(words)
    if run["uncounted_pixels"]:
        doubts.append(_not_counted(described))
    return doubts


def _in_doubt(described: dict[str, Any]) -> str:
    """What is suspicious and no figure counts, as the page says it; nothing where no mark is a finding."""
    run = described["segmentation"]
    doubt = run["doubt"]
    if not doubt or run["verdict"] not in (Verdict.UNCERTAIN, Verdict.TUMOR_DETECTED):
        return ""
    where = f" on slice {doubt['slice'] + 1}" if described["slice_count"] > 1 else ""
    most = f"with a probability of up to {100 * doubt['max_probability']:.0f} %{where}"
    if run["verdict"] == Verdict.TUMOR_DETECTED:
        # Also what the rule for stacks dropped: it may be as probable as the tumor.
        regions = f"{doubt['regions']:,} region" + ("" if doubt["regions"] == 1 else "s")
        return f"In doubt, and counted by no figure: {regions}, {most}."
    least = max(run["min_tumor_pixels"] or 1, 1)
    return (
        f"A region of {doubt['pixels']:,} pixels {most} is below what the model calls a tumor:"
        f" {least:,} px above {threshold(run['threshold'])}."
    )


def _not_counted(described: dict[str, Any]) -> str:
    """What reaches the threshold and is neither tumor nor in doubt, as the page says it."""
    run = described["segmentation"]
    least = run["min_tumor_pixels"] or 0
    reasons = [f"in areas smaller than the smallest that counts, {least:,} px"] if least > 1 else []
    if any(item["dropped"] for item in run["slices"]):
        reasons.append("small beside the largest area of the stack")
    why = f": {', or '.join(reasons)}" if reasons else ""
    return f"{run['uncounted_pixels']:,} px above {threshold(run['threshold'])} are not counted{why}."


def _verdict(run: dict[str, Any]) -> str:
    """`No tumor found` is for scans on which nothing was seen, as on pages."""
    is_seen = run["verdict"] == Verdict.NO_TUMOR and run["uncounted_pixels"]
    return NO_TUMOR_COUNTED if is_seen else OUTCOMES[run["verdict"]][2]


def _facts(described: dict[str, Any]) -> list[tuple[str, str]]:
    spacing = [f"{value:g}" if value else "unknown" for value in described["spacing_mm"] or ()]
    entered = ", entered by hand" if described["spacing_source"] == "entered" else ""
    series, study = described["series"] or {}, described["study"] or {}
    words = ", ".join(str(series[name]) for name in ("modality", "description", "date") if series.get(name))
    rows = [
        ("Scan", described["id"]),
        ("File", f"{described['filename']} ({FORMATS[described['format']]})"),
        ("Series", words),
        ("Patient's pseudonym", series.get("patient") or ""),
        ("Study", study.get("name", "")),
        ("Patient, as entered", study.get("patient") or ""),
        ("Day of the examination", f"{study['date']}, as entered" if study.get("date") else ""),
        ("Slices", f"{described['slice_count']:,} of {described['width']:,} x {described['height']:,} pixels"),
        ("Spacing", f"{' x '.join(spacing)} mm (slices, rows, columns){entered}" if spacing else "not known"),
        ("Received", f"{described['created_at']:.10}"),
        ("SHA-256", described["sha256"]),
    ]
    return [(label, value) for label, value in rows if value]


def _figures(described: dict[str, Any], measured: dict[str, Any]) -> list[tuple[str, str]]:
    run = described["segmentation"]
    slices = sum(1 for item in run["slices"] if item["tumor_pixels"])
    is_assessed = run["verdict"] != Verdict.NOT_ASSESSED
    marked = f"{run['tumor_pixels']:,} of {run['total_pixels']:,} ({figures.percent(run['coverage_percent'])})"
    rows = [("Tumor pixels" if is_assessed else "Marked pixels", marked)]
    if described["slice_count"] > 1:
        label = "Slices with tumor" if is_assessed else "Slices with marks"
        rows.append((label, f"{slices:,} of {described['slice_count']:,}"))
    if measured["volume_mm3"] is not None:
        rows.append(("Volume", figures.volume(measured["volume_mm3"])))
    if run["area_mm2"] is not None:
        rows.append(("Area", f"{run['area_mm2']:.1f} mm\u00b2"))
    rows.append(("Lesions" if is_assessed else "Marked regions", f"{measured['lesion_count']:,}"))
    rows.append(("Highest probability", f"{100 * run['max_probability']:.1f} %"))
    return rows


def _beside_the_expert(described: dict[str, Any], found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The expert's mask of the scan, and how far the run agrees with it."""
    if described["truth"] is None:
        return []
    name = described["truth"]["filename"] or "a file for each slice"
    with_mask = f"{len(described['truth']['slices']):,} of {described['slice_count']:,} slices"
    if found is None:
        return [("Expert's mask", f"{name}, {with_mask}, not compared: it cannot be read")]
    pixels = f"{found['truth_pixels']:,} px" if found["truth_pixels"] else "no tumor"
    dice = "none" if found["dice"] is None else f"{found['dice']:.3f}"
    return [("Expert's mask", f"{name}, {with_mask}: {pixels}"), ("Dice with it", dice)]


def _contradiction(described: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    """Where the expert's mask says otherwise than the verdict: what is on paper alone would hide it."""
    if found is None:
        return []
    verdict = described["segmentation"]["verdict"]
    if verdict == Verdict.TUMOR_DETECTED and not found["truth_pixels"]:
        count = len(described["truth"]["slices"])
        where = "" if count == described["slice_count"] else f" on the {count:,} slices that it has"
        return [f"The expert's mask of this scan marks no tumor{where}: all figures here are the model's."]
    if verdict in (Verdict.NO_TUMOR, Verdict.UNCERTAIN) and found["truth_pixels"]:
        return [
            "The expert's mask of this scan marks tumor, which the model does not: all figures here are the model's."
        ]
    return []


def _lesion_heads(described: dict[str, Any]) -> list[str]:
    is_assessed = described["segmentation"]["verdict"] != Verdict.NOT_ASSESSED
    size = "volume" if described["slice_count"] > 1 else "area"
    return ["lesion" if is_assessed else "region", "slices", size, "longest diameter", "perpendicular", "side"]


def _lesion_row(lesion: dict[str, Any], *, is_single: bool) -> list[str]:
    def length(name: str) -> str:
        if lesion[f"{name}_mm"] is not None:
            return f"{lesion[f'{name}_mm']:.1f} mm"
        return f"{lesion[f'{name}_pixels']:.1f} px"

    def size() -> str:
        """As the page says it."""
        if lesion["volume_mm3"] is not None:
            return figures.volume(lesion["volume_mm3"])
        if lesion["area_mm2"] is not None:
            return f"{lesion['area_mm2']:.1f} mm\u00b2"
        return f"{lesion['voxels']:,} {'px' if is_single else 'voxels'}"

    first, last = (index + 1 for index in lesion["slices"])
    return [
        str(lesion["number"]),
        str(first) if first == last else f"{first} to {last}",
        size(),
        length("diameter"),
        length("perpendicular"),
        lesion["hemisphere"] or "not known",
    ]


def _model_rows(run: Segmentation, card: "Card | None", installed: "Card | None") -> list[tuple[str, str]]:
    rows = [
        ("Model", " ".join(filter(None, (run.model, run.model_version)))),
        ("Engine", run.engine or "not stated"),
        ("Threshold", f"{run.threshold}"),
    ]
    if card is None and installed is not None:
        other = f"By now {installed.release} is installed under this name, so the card of the one that ran is not here."
        return [*rows, ("Card", other)]
    if card is None:
        return [*rows, ("Card", "The model is no longer installed, so its card is not here.")]
    return [
        *rows,
        ("Trained on", card.training.data or "not stated"),
        ("Patients", card.training.in_words or "not stated"),
        ("Threshold chosen on", card.chosen_on or "not stated"),
    ]


def _metric_rows(card: "Card | None") -> list[list[str]]:
    """Those measured on patients that did not train the model."""
    return [
        [
            metric.name.replace("_", " "),
            f"{metric.value:.3f}" + (f" ({metric.ci95[0]:.3f} to {metric.ci95[1]:.3f})" if metric.ci95 else ""),
            "" if metric.patients is None else str(metric.patients),
            metric.aggregation or "",
        ]
        for metric in (card.metrics if card else ())
        if metric.is_test or metric.is_out_of_fold
    ]
