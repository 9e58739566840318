"""The volumes of an evaluation's cases, as its check listed them: what the row of a slice does not say."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.orm import Session

from ml.cards import Card
from ml.datasets.volume_slices import VolumeSlice, is_volume_slice
from ml.evaluation.scoring import Score, mask_of
from ml.evaluation.volumes import VolumeCollector
from webapp.domain.evaluations.case_rows import read_rows, result_of
from webapp.domain.evaluations.listing import listed_case
from webapp.domain.evaluations.maps import read_maps
from webapp.domain.evaluations.models import EvaluationCase
from webapp.domain.resources import Resources


def listed_volume(session: Session, evaluation_id: str, position: int, folder: Path) -> VolumeSlice | None:
    """The volume of a case, its files below `folder`; None of a picture, and of a list of another version."""
    found = listed_case(session, evaluation_id, position)
    return None if found is None else found.case(folder).volume


def measure_volumes(resources: Resources, evaluation_id: str, card: Card, threshold: float) -> VolumeCollector:
    """What can only be measured in 3-D, from the stored maps and truths. Raises StorageUnavailable."""
    collector = VolumeCollector()
    volumes: dict[tuple[str, str], VolumeSlice | None] = {}
    for row, score in _scored_slices(resources, evaluation_id):
        file = (row.patient, score.case.image.parent.as_posix())
        if file not in volumes:
            with resources.database.read() as session:
                volumes[file] = listed_volume(session, evaluation_id, row.position, Path())
        volume = volumes[file]
        found = read_maps(resources, row.map_key or "", row.position)
        if volume is None or found is None or found[1] is None:
            continue
        mask = mask_of(found[0], card, threshold, score.dropped)
        collector.add(row.patient, int(score.case.image.name), volume, found[1], mask)
    return collector


def _scored_slices(resources: Resources, evaluation_id: str) -> Iterator[tuple[EvaluationCase, Score]]:
    """The rows of volumes' slices that were compared with their masks, in the order of the cases."""
    for row in read_rows(resources, evaluation_id):
        result = result_of(row)
        if isinstance(result, Score) and is_volume_slice(result.case.image):
            yield row, result
