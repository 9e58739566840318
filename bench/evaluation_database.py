"""Evaluations in a portal's database as workers write them; a finished one's report is made by the workers' code."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import insert

from bench.evaluation_rows import SIDE, SLICES_OF_A_PATIENT, synthetic_cases
from ml.cards import Card
from ml.datasets.analysis import analyze
from ml.datasets.checking.file_checks import FileCheck
from ml.datasets.mask_findings import DoubtfulMasks
from ml.evaluation.run import CaseResult
from ml.evaluation.scoring import Score
from ml.reports.gallery import choose_scores
from tests.support.evaluations import queued_chunks
from tests.support.jobs import run_chunk
from webapp.domain.database.orm import new_id
from webapp.domain.evaluations import states
from webapp.domain.evaluations.case_rows import case_row
from webapp.domain.evaluations.manifest import ListedCase, encode
from webapp.domain.evaluations.maps import write_maps
from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationChunk, SourceKind
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import group_key
from worker.evaluation.cases import GROUP
from worker.process.runtime import Runtime

# A multiple of a chunk's cases.
CASES_AT_ONCE = 2048
SLICES_A_SECOND = 25.0
# Nobody's lease ends while pages are measured.
LEASE = timedelta(days=1)

_Cases = list[tuple[ListedCase, CaseResult]]


def add_finished(resources: Resources, cases: int, seed: int = 1) -> tuple[str, float]:
    """An evaluation of so many cases, its report made by a worker's code; its id, and the report's seconds."""
    card = resources.catalog.card(None)
    evaluation_id = _add_evaluation(resources, card, cases, seed)
    found: list[tuple[ListedCase, Score]] = []
    for part in _parts(cases, seed):
        _add_cases(resources, card, evaluation_id, part, last=None)
        found += [(listed, scored.result) for listed, scored in part if isinstance(scored.result, Score)]
    _store_gallery(resources, evaluation_id, found)
    with resources.database.write() as session:
        states.settle(session, evaluation_id)
    (chunk_id,) = queued_chunks(resources, evaluation_id)  # the report's: every other one has ended
    runtime = Runtime(resources)
    began = time.perf_counter()
    try:
        run_chunk(runtime, chunk_id)
    finally:
        runtime.case_reader.close()
    seconds = time.perf_counter() - began
    with resources.database.read() as session:
        row = session.get_one(Evaluation, evaluation_id)
    if row.status is not Status.SUCCEEDED:
        raise RuntimeError(f"the report was not made: {row.error_message}")
    return evaluation_id, seconds


def add_running(resources: Resources, cases: int, seed: int = 2) -> str:
    """An evaluation in its last chunk, which a worker holds and never ends; its id."""
    card = resources.catalog.card(None)
    evaluation_id = _add_evaluation(resources, card, cases, seed)
    size = resources.settings.evaluation_chunk
    last = (cases - 1) // size * size
    for part in _parts(cases, seed):
        _add_cases(resources, card, evaluation_id, part, last=last)
    return evaluation_id


def _parts(cases: int, seed: int) -> Iterator[_Cases]:
    stream = synthetic_cases(cases, seed)
    while part := list(islice(stream, CASES_AT_ONCE)):
        yield part


def _add_evaluation(resources: Resources, card: Card, cases: int, seed: int) -> str:
    """The evaluation after its check, being run."""
    evaluation_id, began = new_id(), datetime.now(UTC) - timedelta(seconds=cases / SLICES_A_SECOND)
    row = Evaluation(
        id=evaluation_id,
        name=f"synthetic {seed}",
        source=SourceKind.FOLDER,
        # Not below a root: the report's pictures are black, as where a data set was removed.
        location=f"/nowhere/synthetic_{seed}",
        model=card.name,
        model_version=card.release,
        threshold=card.threshold,
        min_tumor_pixels=card.min_tumor_pixels,
        created_at=began,
        started_at=began,
        status=Status.RUNNING,
        data_folder=".",
        has_truth=True,
        case_count=cases,
        checked_count=cases,
        findings=_findings(cases, seed),
    )
    check = {"id": new_id(), "kind": ChunkKind.CHECK, "position": 0, "status": Status.SUCCEEDED, "attempt": 1}
    with resources.database.write() as session:
        session.add(row)
        session.flush()
        times = {"created_at": began, "started_at": began, "finished_at": began}
        session.execute(insert(EvaluationChunk), [{"evaluation_id": evaluation_id, **check, **times}])
    return evaluation_id


def _add_cases(resources: Resources, card: Card, evaluation_id: str, part: _Cases, last: int | None) -> None:
    """Rows of cases and of their chunks; of the chunk at `last`, which is running, the cases are not finished."""
    began = datetime.now(UTC) - timedelta(seconds=resources.settings.lease_s)
    rows, size = [], resources.settings.evaluation_chunk
    for listed, scored in part:
        if last is not None and listed.position >= last:
            continue
        key = group_key(evaluation_id, listed.position - listed.position % GROUP, 1)
        row = case_row(evaluation_id, listed, scored, key, card)
        row.finished_at = began
        rows.append(row)
    starts = [listed.position for listed, _ in part if listed.position % size == 0]
    first = part[0][0].position
    chunks = [
        {
            "id": new_id(),
            "evaluation_id": evaluation_id,
            "kind": ChunkKind.CASES,
            "position": start,
            "cases": encode([listed for listed, _ in part[start - first : start - first + size]]),
            "engine": "openvino-int8",
            "status": Status.RUNNING if start == last else Status.SUCCEEDED,
            "lease_until": datetime.now(UTC) + LEASE if start == last else None,
            "attempt": 1,
            "created_at": began,
            "started_at": began,
            "finished_at": None if start == last else began,
        }
        for start in starts
    ]
    with resources.database.write() as session:
        session.execute(insert(EvaluationChunk), chunks)
        session.add_all(rows)


def _store_gallery(resources: Resources, evaluation_id: str, found: list[tuple[ListedCase, Score]]) -> None:
    """Maps and truths of the slices that the report draws, and of no others."""
    position_of = {id(score): listed.position for listed, score in found}
    shown = [score for members in choose_scores([score for _, score in found]).values() for score in members]
    groups: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    for score in shown:
        position = position_of[id(score)]
        probability_u8 = np.where(np.arange(SIDE * SIDE) < score.counts.predicted, 255, 0).astype(np.uint8)
        truth = np.arange(SIDE * SIDE) < score.counts.truth
        arrays = (position, probability_u8.reshape(SIDE, SIDE), truth.reshape(SIDE, SIDE))
        groups.setdefault(group_key(evaluation_id, position - position % GROUP, 1), []).append(arrays)
    for key, members in groups.items():
        write_maps(resources, key, members)


def _findings(cases: int, seed: int) -> dict[str, Any]:
    """What a check writes of a sound data set; areas and sizes are of its first slices."""
    scores = [scored.result for _, scored in islice(synthetic_cases(cases, seed), CASES_AT_ONCE)]
    observed = [
        (score.case, FileCheck(image_size=(SIDE, SIDE), tumor_pixels=score.counts.truth))
        for score in scores
        if isinstance(score, Score)
    ]
    analysis = {**asdict(analyze(observed)), "slices": cases, "patients": -(-cases // SLICES_OF_A_PATIENT)}
    facts = {"layout": "patient folders", "is_sound": True, "data_sha256": "0" * 64, "counts": {}, "problem_count": 0}
    of_files = {
        "warning_counts": {},
        "warning_count": 0,
        "doubtful_masks": asdict(DoubtfulMasks()),
        "duplicate_slices": 0,
    }
    lists: dict[str, list[Any]] = {name: [] for name in ("notes", "left_out", "categories", "problems", "warnings")}
    return {**facts, **of_files, **lists, "sides": {}, "analysis": analysis, "attempt": 1}
