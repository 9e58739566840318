"""What a worker reads and writes of an evaluation, each write under the lease of its chunk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, undefer

from ml.evaluation.summary import PatientResult
from webapp.domain.errors import FolderRefused
from webapp.domain.evaluations import manifest, sources, states
from webapp.domain.evaluations.case_rows import failed_row, patient_rows
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.models import (
    ChunkKind,
    Evaluation,
    EvaluationCase,
    EvaluationChunk,
    EvaluationPatient,
)
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.failure_codes import INTERNAL, MODEL_UNAVAILABLE
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings


@dataclass(frozen=True)
class ChunkInput:
    """What a worker must know to do a claimed chunk; plain values, so that no session stays open.

    folder: the source's real folder, None where it may not be read any more; refusal says why. data_folder: the data
    set's own folder, once it was checked; before, the folder around all files of an archive. boundaries: what no file
    may lie outside of. cases: of a chunk of cases, those that are not finished yet.
    """

    evaluation_id: str
    kind: ChunkKind
    model: str
    model_version: str | None
    threshold: float
    min_tumor_pixels: int
    folder: Path | None
    refusal: str
    data_folder: Path | None
    boundaries: tuple[Path, ...]
    has_truth: bool
    cases: tuple[ListedCase, ...]


def timeout_s(settings: Settings, kind: ChunkKind) -> float:
    """How long a chunk of that kind may run."""
    return settings.job_timeout_s if kind is ChunkKind.CASES else settings.evaluation_timeout_s


def begin(session: Session, chunk: EvaluationChunk) -> tuple[Evaluation, ChunkInput]:
    """Mark the evaluation of a chunk that was claimed in this transaction as running.

    Gives it, and what the database knows of the chunk's input; the folders follow in `prepare`.
    """
    states.begin(session, chunk.evaluation_id)
    evaluation = session.get_one(Evaluation, chunk.evaluation_id)
    cases = manifest.decode(chunk.cases or ())
    done = set(_finished(session, chunk.evaluation_id, [case.position for case in cases]))
    return evaluation, ChunkInput(
        evaluation_id=evaluation.id,
        kind=chunk.kind,
        model=evaluation.model,
        model_version=evaluation.model_version,
        threshold=evaluation.threshold,
        min_tumor_pixels=evaluation.min_tumor_pixels,
        folder=None,
        refusal="",
        data_folder=None,
        boundaries=(),
        has_truth=bool(evaluation.has_truth),
        cases=tuple(case for case in cases if case.position not in done),
    )


def prepare(resources: Resources, begun: tuple[Evaluation, ChunkInput]) -> ChunkInput:
    """The input of a chunk with its folders, which are looked up on the disk: outside of any transaction."""
    evaluation, work = begun
    try:
        folder = sources.source_folder(resources, evaluation)
    except FolderRefused as error:
        return replace(work, refusal=error.message, boundaries=sources.boundaries(resources, evaluation))
    data_folder = None if evaluation.data_folder is None else folder / evaluation.data_folder
    boundaries = sources.boundaries(resources, evaluation)
    return replace(work, folder=folder, data_folder=data_folder, boundaries=boundaries)


def count_checked(resources: Resources, claim: lifecycle.Claim, work: ChunkInput, *, checked: int, total: int) -> None:
    """Write down how far the check is."""
    with resources.database.write() as session:
        if _renew(session, resources, claim):
            session.execute(
                update(Evaluation)
                .where(Evaluation.id == work.evaluation_id)
                .values(checked_count=checked, case_count=total)
                .execution_options(synchronize_session=False)
            )


def complete_check(
    resources: Resources,
    claim: lifecycle.Claim,
    work: ChunkInput,
    cases: Sequence[ListedCase],
    *,
    keeps_patients: bool = False,
    **facts: object,
) -> bool:
    """Write the list of cases as chunks and what the check found; False where the lease is lost.

    keeps_patients: no patient's slices are in two chunks, since the model looks at them together. facts: data_folder,
    has_truth, findings.
    """
    size = resources.settings.evaluation_chunk
    with resources.database.write() as session:
        if not lifecycle.complete(session, claim) or states.lock(session, work.evaluation_id) is None:
            return False
        values = {"case_count": len(cases), "checked_count": len(cases), **facts}
        session.execute(
            update(Evaluation)
            .where(Evaluation.id == work.evaluation_id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        session.add_all(
            EvaluationChunk(
                evaluation_id=work.evaluation_id,
                kind=ChunkKind.CASES,
                position=part[0].position,
                cases=manifest.encode(part),
                status=Status.QUEUED,
            )
            for part in _split(cases, size, keeps_patients=keeps_patients)
        )
        return True


def _split(cases: Sequence[ListedCase], size: int, *, keeps_patients: bool) -> list[list[ListedCase]]:
    """The cases in order, in parts of `size`; a part goes on to its last patient's end where patients are kept."""
    parts: list[list[ListedCase]] = []
    for case in cases:
        is_full = not parts or len(parts[-1]) >= size
        if is_full and not (parts and keeps_patients and parts[-1][-1].patient == case.patient):
            parts.append([])
        parts[-1].append(case)
    return parts


def write_cases(resources: Resources, claim: lifecycle.Claim, work: ChunkInput, rows: Sequence[EvaluationCase]) -> bool:
    """Write finished cases, each once, and renew the lease; False where it is lost, and nothing is written.

    Cases that are there already are left out.
    """
    with resources.database.write() as session:
        if not _renew(session, resources, claim):
            return False
        done = set(_finished(session, work.evaluation_id, [row.position for row in rows]))
        session.add_all(row for row in rows if row.position not in done)
        return True


def complete_cases(resources: Resources, claim: lifecycle.Claim, work: ChunkInput, *, engine: str) -> bool:
    """End a chunk of cases; the last one queues the report. False where the lease is lost."""
    with resources.database.write() as session:
        if not lifecycle.complete(session, claim, engine=engine):
            return False
        states.settle(session, work.evaluation_id)
        return True


def complete_report(
    resources: Resources,
    claim: lifecycle.Claim,
    work: ChunkInput,
    *,
    patients: Sequence[PatientResult],
    headline: str,
    summary: dict[str, Any],
    engine: str,
) -> bool:
    """End the evaluation with its report; False where the lease is lost."""
    with resources.database.write() as session:
        if not lifecycle.complete(session, claim):
            return False
        session.execute(delete(EvaluationPatient).where(EvaluationPatient.evaluation_id == work.evaluation_id))
        session.add_all(patient_rows(work.evaluation_id, patients))
        session.flush()
        return states.end(
            session,
            work.evaluation_id,
            Status.SUCCEEDED,
            headline=headline,
            summary=summary,
            engine=engine,
            report_attempt=claim.attempt,
        )


def after_failure(session: Session, chunk_id: str) -> None:
    """What follows from a chunk that has just failed, whether a worker or the sweeper ended it.

    Without its check, its report, its model or its list of cases an evaluation has failed: with the model gone or
    another, no other chunk of it could be done either. Otherwise a chunk of cases costs its unfinished cases alone.
    """
    chunk = session.get_one(EvaluationChunk, chunk_id, options=[undefer(EvaluationChunk.cases)], populate_existing=True)
    try:
        cases = manifest.decode(chunk.cases or ())
    except manifest.UnreadableCases:
        cases = None
    if chunk.kind is not ChunkKind.CASES or chunk.error_code == MODEL_UNAVAILABLE or cases is None:
        states.end(
            session,
            chunk.evaluation_id,
            Status.FAILED,
            error_code=chunk.error_code,
            error_message=chunk.error_message,
        )
        return
    done = set(_finished(session, chunk.evaluation_id, [case.position for case in cases]))
    session.add_all(
        failed_row(chunk.evaluation_id, case, chunk.error_code or INTERNAL, chunk.error_message or "")
        for case in cases
        if case.position not in done
    )
    session.flush()
    states.settle(session, chunk.evaluation_id)


def _finished(session: Session, evaluation_id: str, positions: Sequence[int]) -> Sequence[int]:
    if not positions:
        return ()
    return session.scalars(
        select(EvaluationCase.position).where(
            EvaluationCase.evaluation_id == evaluation_id,
            EvaluationCase.position.between(min(positions), max(positions)),
        )
    ).all()


def _renew(session: Session, resources: Resources, claim: lifecycle.Claim) -> bool:
    """The fence before a write: it locks the chunk's row, and changes none where the lease is lost."""
    return lifecycle.extend(session, claim, lease_s=resources.settings.lease_s)
