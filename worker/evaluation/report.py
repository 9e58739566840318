"""The last chunk of an evaluation: add the rows up as `python -m ml evaluate` does, and store its files."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from ml.cards import Card
from ml.datasets.case import Case
from ml.datasets.case_reader import ChunkReader, Digests
from ml.datasets.checking.problems import LeftOut
from ml.datasets.loading import LoadedCase
from ml.datasets.mask_findings import DoubtfulMasks
from ml.datasets.volume_slices import VolumeSlice, is_volume_slice
from ml.evaluation.predictions import summarize_predictions
from ml.evaluation.report import Settings, headline, make_report, summary_of
from ml.evaluation.run import Outcome
from ml.evaluation.scoring import Failure, Score, SliceResult, mask_of
from ml.evaluation.summary import PatientResult
from ml.metrics.intervals import DEFAULT_SEED
from ml.metrics.slices import Value
from ml.reports.folder import Written, fill_folder, fill_predictions_folder
from ml.reports.gallery import SliceArrays
from ml.reports.pdf import predictions_pdf, report_pdf
from ml.reports.title import Title
from webapp.domain.errors import DataLost
from webapp.domain.evaluations import chunks, progress
from webapp.domain.evaluations.case_rows import find_case, read_results
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.maps import read_maps
from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.evaluations.volumes import listed_volume, measure_volumes
from webapp.domain.jobs.kinds import ClaimedJob
from webapp.domain.jobs.lifecycle import Claim
from webapp.domain.resources import Resources
from webapp.domain.storage.arrays import fresh_object
from webapp.domain.storage.keys import report_folder, report_key, report_prefix
from worker.jobs.lease import Lease
from worker.jobs.step import JobFailed, StepAside
from worker.process.runtime import Runtime


@dataclass(frozen=True)
class Subject:
    """What was evaluated: the engines' names, and the card with the version and smallest area of that time."""

    name: str
    card: Card


@dataclass(frozen=True)
class _Facts:
    """What the evaluation's rows say beside the results: seconds of all cases, and slices that were trained on."""

    title: Title
    findings: Mapping[str, Any]
    seconds: float
    training_slices: int


@dataclass(frozen=True)
class _Made:
    """A report's files and what the evaluation's row keeps of it."""

    written: Written
    pdf: bytes
    headline: str
    summary: dict[str, Any]
    patients: Sequence[PatientResult]


def run_report(runtime: Runtime, job: ClaimedJob[ChunkInput], lease: Lease, step_aside: StepAside) -> None:
    """Make and store the report. Raises JobFailed, LeaseLost, StorageFull, InvalidInput (the model is gone)."""
    resources, claim, work = runtime.resources, job.claim, job.input
    results = tuple(read_results(resources, work.evaluation_id))
    step_aside()
    if all(isinstance(item, Failure) for item in results):
        first = next((item.message for item in results if isinstance(item, Failure)), "There are no slices.")
        raise JobFailed("nothing_evaluated", f"No slice could be evaluated: {first}")
    subject, facts = _subject(resources, work), _facts(resources, work)
    folder = resources.folders.make(report_folder(work.evaluation_id, claim.attempt))
    try:
        if work.has_truth:
            with runtime.case_reader.chunk(work.boundaries) as reader:
                made = _write_report(resources, work, subject, results, facts, folder, reader, step_aside)
        else:
            made = _write_predictions(work, subject, results, facts, folder)
        (folder / "report.pdf").write_bytes(made.pdf)
        _write_page_document(folder, made.written)
        lease.check()
        _store(resources, work, claim, folder)
    finally:
        resources.folders.delete(folder.name)
    lease.commit(
        lambda: chunks.complete_report(
            resources,
            claim,
            work,
            patients=made.patients,
            headline=made.headline,
            summary=made.summary,
            engine=subject.name,
        ),
        stored=report_prefix(work.evaluation_id, claim.attempt),
    )


def _facts(resources: Resources, work: ChunkInput) -> _Facts:
    with resources.database.read() as session:
        evaluation = session.get_one(Evaluation, work.evaluation_id)
        return _Facts(
            title=Title(evaluation.name, Path(evaluation.location).name),
            findings=evaluation.findings or {},
            seconds=progress.case_seconds(session, work.evaluation_id),
            training_slices=progress.training_slices(session, work.evaluation_id),
        )


def _write_report(
    resources: Resources,
    work: ChunkInput,
    subject: Subject,
    results: tuple[SliceResult, ...],
    facts: _Facts,
    folder: Path,
    reader: ChunkReader,
    step_aside: StepAside,
) -> _Made:
    """What the results are beside the experts' masks, and the files of that in the folder."""
    findings = facts.findings
    # Nothing of an evaluation that was checked before the check looked for that.
    doubtful = DoubtfulMasks(**findings.get("doubtful_masks", {}))
    volumes = _volumes(resources, work, subject.card, results)
    duplicates = findings.get("duplicate_slices", 0)
    outcome = Outcome(results, facts.seconds, doubtful, duplicates, volumes, facts.training_slices)
    step_aside()
    settings = Settings(work.threshold, False, DEFAULT_SEED)
    report = make_report(subject, outcome, settings, _left_out(findings), findings.get("notes", ()))
    step_aside()
    read = _arrays_of(resources, work, subject.card, reader, step_aside)
    written = fill_folder(folder, report, read, facts.title)
    step_aside()
    pdf = report_pdf(report, written.drawings, written.pictures, folder / "gallery", facts.title)
    return _Made(written, pdf, headline(report), summary_of(report), report.patients)


def _write_predictions(
    work: ChunkInput, subject: Subject, results: tuple[SliceResult, ...], facts: _Facts, folder: Path
) -> _Made:
    """What was found in slices without experts' masks, and the files of that in the folder."""
    found = summarize_predictions(subject, results, work.threshold, facts.seconds, _left_out(facts.findings))
    written = fill_predictions_folder(folder, found, facts.title)
    return _Made(written, predictions_pdf(found, facts.title), found.headline, found.summary, found.patients)


def _volumes(
    resources: Resources, work: ChunkInput, card: Card, results: Sequence[SliceResult]
) -> Mapping[str, Mapping[str, Value]]:
    """What was measured of volumes, by patient; rows are read once more only where there are any."""
    if not any(is_volume_slice(result.case.image) for result in results):
        return {}
    return measure_volumes(resources, work.evaluation_id, card, work.threshold).measured


def _left_out(findings: Mapping[str, Any]) -> tuple[LeftOut, ...]:
    """What the check wrote down; nothing where an older version did."""
    groups = findings.get("left_out", ())
    return tuple(LeftOut(group["code"], group["message"], group["count"], tuple(group["files"])) for group in groups)


def _subject(resources: Resources, work: ChunkInput) -> Subject:
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
    return Subject(", ".join(sorted(engine for engine in engines if engine)), card)


def _arrays_of(
    resources: Resources, work: ChunkInput, card: Card, reader: ChunkReader, step_aside: StepAside
) -> Callable[[Score], SliceArrays]:
    """The gallery's arrays: map and truth as they are stored, the slice read once more; black where it is gone."""

    def read(score: Score) -> SliceArrays:
        step_aside()
        row = find_case(resources, work.evaluation_id, score.case)
        probability_u8, truth = read_maps(resources, row.map_key or "", row.position) or (None, None)
        if probability_u8 is None or truth is None:
            raise DataLost("A stored map is missing or damaged; restore it, or evaluate again.")
        mask = mask_of(probability_u8, card, work.threshold, score.dropped)
        volume = None
        if is_volume_slice(score.case.image) and work.data_folder is not None:
            with resources.database.read() as session:
                volume = listed_volume(session, work.evaluation_id, row.position, work.data_folder)
        return SliceArrays(_pixels(work, reader, row, volume, mask.shape), truth, mask, card.input.flair_channel)

    return read


def _pixels(
    work: ChunkInput, reader: ChunkReader, row: EvaluationCase, volume: VolumeSlice | None, size: tuple[int, ...]
) -> np.ndarray:
    """The slice, uint8 (H, W, 3), if it is still the one that was evaluated; black if not."""
    if work.data_folder is not None:
        case = Case(row.patient, work.data_folder / row.image, None, volume=volume)
        if all(is_inside(path, work.boundaries) for path in case.files):
            loaded = reader.read(case, Digests(row.image_sha256))
            if isinstance(loaded, LoadedCase) and loaded.pixels.shape[:2] == size:
                return loaded.pixels
    return np.zeros((*size, 3), dtype=np.uint8)


def _write_page_document(folder: Path, written: Written) -> None:
    """`page.json`: the report without its long lists, with the plots' titles and descriptions: a page opens fast."""
    document = {name: value for name, value in written.document.items() if name not in ("patients", "failures")}
    document["drawings"] = [
        {"name": drawing.name, "title": drawing.title, "description": drawing.description}
        for drawing in written.drawings
    ]
    (folder / "page.json").write_text(json.dumps(document), encoding="utf-8")


def _store(resources: Resources, work: ChunkInput, claim: Claim, folder: Path) -> None:
    """Every file under its key of this attempt."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        with fresh_object(resources.storage, report_key(work.evaluation_id, claim.attempt, name)) as stored:
            shutil.copyfile(path, stored)
