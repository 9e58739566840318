"""Data sets on disk for evaluations, and evaluations run to their end without Celery."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import select

from tests.support.jobs import run_chunk
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.models import Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import report_key
from worker.process.runtime import Runtime

SIDE = 48


def slice_pixels(seed: int, top: int, left: int, side: int, value: int = 230) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3): noise, and a bright square that the fake engine takes for tumor."""
    pixels = np.random.default_rng(seed).integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[top : top + side, left : left + side] = value
    return pixels


def write_slice(folder: Path, patient: str, name: str, pixels: np.ndarray, truth: np.ndarray | None) -> Path:
    """One slice, with its mask where there is one; gives the image's path."""
    directory = folder / patient
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.png"
    Image.fromarray(pixels).save(path)
    if truth is not None:
        Image.fromarray(truth).save(directory / f"{name}_mask.png")
    return path


def square(top: int, left: int, side: int) -> np.ndarray:
    """bool (SIDE, SIDE)."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def write_data_set(folder: Path, *, patients: int = 3, slices: int = 5, has_masks: bool = True) -> Path:
    """Patients with found, half found, missed and tumor-free slices, and false alarms."""
    seed = 0
    for patient in range(patients):
        for index in range(slices):
            seed += 1
            kind = index % 5
            found = (8, 8 + patient, 14 if kind < 2 else 0 if kind in (2, 3) else 7 + patient)
            truth = square(8 + 3 * (kind == 1), 8, 14 if kind < 3 else 0)
            pixels = slice_pixels(seed, *found)
            write_slice(folder, f"patient_{patient}", f"p{patient}_{index:03d}", pixels, truth if has_masks else None)
    return folder


def zip_of(folder: Path, prefix: str = "") -> bytes:
    """A stored zip of a folder, names below `prefix`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, prefix + path.relative_to(folder).as_posix())
    return buffer.getvalue()


def begin(resources: Resources, folder: Path, **options: object) -> str:
    """Queue an evaluation of a folder below a root."""
    return submission.from_folder(resources, str(folder), EvaluationOptions(**options))


def queued_chunks(resources: Resources, evaluation_id: str) -> list[str]:
    with resources.database.read() as session:
        return list(
            session.scalars(
                select(EvaluationChunk.id)
                .where(EvaluationChunk.evaluation_id == evaluation_id, EvaluationChunk.status == Status.QUEUED)
                .order_by(EvaluationChunk.kind, EvaluationChunk.position)
            )
        )


def run_all(runtime: Runtime, evaluation_id: str, each: Callable[[str], None] | None = None) -> Evaluation:
    """Run queued chunks until none is left; the evaluation as it stands then."""
    while chunks := queued_chunks(runtime.resources, evaluation_id):
        for chunk_id in chunks:
            (each or (lambda chunk: run_chunk(runtime, chunk)))(chunk_id)
    return evaluation_row(runtime.resources, evaluation_id)


def evaluation_row(resources: Resources, evaluation_id: str) -> Evaluation:
    with resources.database.read() as session:
        return session.get_one(Evaluation, evaluation_id)


def case_rows(resources: Resources, evaluation_id: str) -> list[EvaluationCase]:
    with resources.database.read() as session:
        return list(
            session.scalars(
                select(EvaluationCase)
                .where(EvaluationCase.evaluation_id == evaluation_id)
                .order_by(EvaluationCase.position)
            )
        )


def read_report(resources: Resources, evaluation_id: str, name: str = "report.json") -> str:
    """A file of a finished evaluation's report."""
    done = evaluation_row(resources, evaluation_id)
    assert done.report_attempt is not None
    with resources.storage.open(report_key(evaluation_id, done.report_attempt, name)) as file:
        return file.read().decode()
