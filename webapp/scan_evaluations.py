"""Evaluations of scans that lie in the portal with their experts' masks: the API's and the pages' forms alike."""

from collections.abc import Sequence
from pathlib import Path

from webapp.context import resources
from webapp.domain.errors import InvalidInput, NotFound
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.scans import data_sets, studies
from webapp.domain.scans.models import Scan


def evaluate_scans(scan_ids: Sequence[str], options: EvaluationOptions, key: str | None = None) -> str:
    """Queue an evaluation of those of the scans that have an expert's mask; its id. Raises as `data_sets` does."""
    scans = data_sets.with_truth(resources(), list(dict.fromkeys(scan_ids)))
    name = scans[0].stem if len(scans) == 1 else f"{len(scans)} scans with experts' masks"
    return _submit(scans, name, options, key)


def evaluate_study(study_id: str, options: EvaluationOptions, key: str | None = None) -> str:
    """Queue an evaluation of all scans of a study that have an expert's mask; its id. Raises NotFound too."""
    with resources().database.read() as session:
        study = studies.find(session, study_id)
        if study is None:
            raise NotFound("There is no such study.")
        scan_ids = studies.scans_with_truth(session, study_id)
    if not scan_ids:
        raise InvalidInput("No scan of this study has an expert's mask to compare with; add one on its page.")
    return _submit(data_sets.with_truth(resources(), scan_ids), study.name, options, key)


def _submit(scans: Sequence[Scan], name: str, options: EvaluationOptions, key: str | None) -> str:
    def write(folder: Path) -> None:
        data_sets.write(resources(), scans, folder)

    identity = [f"{scan.id}:{(scan.truth or {}).get('id')}" for scan in scans]
    location = f"{len(scans)} {'scan' if len(scans) == 1 else 'scans'} of the portal"
    return submission.from_scans(resources(), write, identity, location, name, options, key)
