"""The last chunk of an evaluation: add the rows up as `python -m ml evaluate` does, and store its files."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

import numpy as np
from sqlalchemy import select

from ml.cards import Card
from ml.datasets.case import Case
from ml.datasets.case_reader import ChunkReader, Digests
from ml.datasets.loading import LoadedCase
from ml.evaluation.predictions import fill_predictions_folder, summarize_predictions
from ml.evaluation.run import Outcome
from ml.evaluation.scoring import Score, mask_of
from ml.metrics.intervals import DEFAULT_SEED
from ml.reports.folder import draw_figures, fill_folder
from ml.reports.gallery import Look
from ml.reports.json import Settings, headline, make_report, summary_of
from ml.reports.pdf import predictions_pdf, report_pdf
from webapp.domain.evaluations import chunks, progress
from webapp.domain.evaluations.chunks import Work
from webapp.domain.evaluations.models import ChunkKind, EvaluationChunk
from webapp.domain.evaluations.report_files import FIGURES
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.storage.arrays import fresh_object, read_group
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import report_key
from worker.evaluation.rows import StoredResult, map_name, read_results, truth_name
from worker.jobs.lease import Heartbeat, LeaseLost
from worker.process.engines import Runtime

PATIENT_COLUMNS = (
    "patient",
    "slices",
    "failed_slices",
    "tumor_slices",
    "detected_slices",
    "truth_pixels",
    "predicted_pixels",
    "dice",
    "iou",
    "precision",
    "recall",
    "hd95_median",
)


class NothingEvaluated(Exception):
    """Not one slice could be evaluated: a report would be empty."""

    code = "nothing_evaluated"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class Subject:
    """What was evaluated, as it was written down: the engines' names, and the card with the facts of that time."""

    name: str
    card: Card


def run_report(
    runtime: Runtime, held: lifecycle.Claim, work: Work, heartbeat: Heartbeat, step_aside: Callable[[], None]
) -> None:
    """Make and store the report. Raises NothingEvaluated, LeaseLost, StorageFull, InvalidInput (the model is gone)."""
    resources = runtime.resources
    stored = list(read_results(resources, work.evaluation_id))
    step_aside()
    results = tuple(item.result for item in stored)
    scored = [item for item in stored if hasattr(item.result, "seconds")]
    if not scored:
        first = getattr(results[0], "message", "") if results else "There are no slices."
        raise NothingEvaluated(f"No slice could be evaluated: {first}")
    with resources.database.read() as session:
        seconds = progress.case_seconds(session, work.evaluation_id)
    subject = _subject(resources, work)
    folder = resources.storage.make_folder(f"{work.evaluation_id}.report.{held.attempt}")
    try:
        with translated_errors(), runtime.case_reader.chunk() as reader:
            if work.has_truth:
                outcome = Outcome(results, seconds)
                report = make_report(subject, outcome, Settings(work.threshold, False, DEFAULT_SEED))
                pictures = fill_folder(folder, report, _look(resources, work, subject.card, reader, stored))
                drawings = [drawing.svg for drawing in draw_figures(report)]
                pdf = report_pdf(report, drawings, pictures, folder / "gallery")
                said, summary, patients = headline(report), summary_of(report), report.patients
            else:
                predictions = summarize_predictions(subject, results, work.threshold, seconds)
                fill_predictions_folder(folder, predictions)
                pdf = predictions_pdf(predictions)
                said, summary, patients = predictions.headline, predictions.summary, predictions.patients
            (folder / "report.pdf").write_bytes(pdf)
            _write_extract(folder)
        heartbeat.check()
        _store(resources, work, held, folder)
    finally:
        resources.storage.delete_folder(folder.name)
    rows = [
        {"position": position, **{name: asdict(patient).get(name) for name in PATIENT_COLUMNS}}
        for position, patient in enumerate(patients)
    ]
    is_written = chunks.complete_report(
        resources, held, work, patients=rows, headline=said, summary=summary, engine=subject.name
    )
    if not is_written:
        resources.storage.delete(report_key(work.evaluation_id, held.attempt, "report.json").rsplit("/", 1)[0])
        raise LeaseLost


def _subject(resources: Resources, work: Work) -> Subject:
    with resources.database.read() as session:
        engines = session.scalars(
            select(EvaluationChunk.engine)
            .where(
                EvaluationChunk.evaluation_id == work.evaluation_id,
                EvaluationChunk.kind == ChunkKind.CASES,
                EvaluationChunk.engine.is_not(None),
            )
            .distinct()
        ).all()
    card = resources.catalog.card(work.model)
    card = replace(card, version=work.model_version, min_tumor_pixels=work.min_tumor_pixels)
    return Subject(", ".join(sorted(engines)), card)


def _look(
    resources: Resources, work: Work, card: Card, reader: ChunkReader, stored: list[StoredResult]
) -> Callable[[Score], Look]:
    """The gallery's arrays: map and truth as they are stored, the slice read once more; black where it is gone."""
    by_score = {id(item.result): item for item in stored}

    def look(score: Score) -> Look:
        item = by_score[id(score)]
        q, bits = read_group(
            resources.storage, item.map_key or "", [map_name(item.position), truth_name(item.position)]
        )
        height, width = q.shape
        truth = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
        mask = mask_of(q[None], card, work.threshold)[0]
        return Look(_pixels(work, reader, score.case, item, (height, width)), truth, mask)

    return look


def _pixels(work: Work, reader: ChunkReader, case: Case, item: StoredResult, size: tuple[int, int]) -> np.ndarray:
    if work.data_folder is not None:
        found = Case(case.patient, work.data_folder / case.image, None)
        if is_inside(found.image, work.boundaries):
            loaded = reader.read(found, Digests(item.image_sha256))
            if isinstance(loaded, LoadedCase) and loaded.pixels.shape[:2] == size:
                return loaded.pixels
    return np.zeros((*size, 3), dtype=np.uint8)


def _write_extract(folder: Path) -> None:
    """`page.json`: the report without its long lists and with its figures' words, so that a page opens at once."""
    document: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for name in ("patients", "failures"):
        document.pop(name, None)
    document["drawings"] = [
        {"name": path.stem, "title": _element(text, "title"), "description": _element(text, "desc")}
        for path in (folder / "figures" / f"{name}.svg" for name in FIGURES)
        if path.is_file()
        for text in (path.read_text(encoding="utf-8"),)
    ]
    (folder / "page.json").write_text(json.dumps(document), encoding="utf-8")


def _element(svg: str, name: str) -> str:
    """The words of a figure's own title or description, its first of that name."""
    return unescape(svg.split(f"<{name}>", 1)[1].split(f"</{name}>", 1)[0])


def _store(resources: Resources, work: Work, held: lifecycle.Claim, folder: Path) -> None:
    """Every file under its key of this attempt."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        with fresh_object(resources.storage, report_key(work.evaluation_id, held.attempt, name)) as stored:
            shutil.copyfile(path, stored)
