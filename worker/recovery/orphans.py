"""Deletes what a crash left in storage: files and folders that no row names, older than any upload or job can be."""

import logging

from sqlalchemy import select

from webapp.domain.evaluations import states
from webapp.domain.evaluations.models import Evaluation, EvaluationCase
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.uploads import idempotency

logger = logging.getLogger(__name__)


def delete_orphans(resources: Resources, *, older_than_s: float) -> int:
    """Remove stored files that no row names, and idempotency keys past their time; returns the number of files."""
    count = resources.storage.delete_temporary(older_than_s)
    named: dict[str, frozenset[str]] = {}
    for key in list(resources.storage.keys(older_than_s)):
        if not _is_named(resources, key, named):
            resources.storage.delete(key)
            count += 1
    for folder in resources.folders.names(older_than_s):
        # `ID`: an unpacked archive; `ID.report.ATTEMPT`: the working folder of a report.
        evaluation_id, _, is_scratch = folder.partition(".")
        with resources.database.read() as session:
            is_known = session.scalar(select(Evaluation.id).where(Evaluation.id == evaluation_id)) is not None
        if is_scratch or not is_known:
            resources.folders.delete(folder)
            count += 1
    idempotency.forget_old(resources)
    resources.database.forget_deleted()
    if count:
        logger.info("removed %d files that no row named", count)
    return count


def _is_named(resources: Resources, key: str, named: dict[str, frozenset[str]]) -> bool:
    """Whether a row names the key. A key of a feature that is not known here counts as named."""
    feature, *parts = key.split("/")
    if feature == "scans" and len(parts) == 3:
        return _is_named_by_scan(resources, key)
    if feature == "evaluations" and len(parts) >= 3:
        return _is_named_by_evaluation(resources, key, named)
    return True


def _is_named_by_scan(resources: Resources, key: str) -> bool:
    scan_id, name = key.split("/")[-2:]
    with resources.database.read() as session:
        if session.scalar(select(Scan.id).where(Scan.id == scan_id)) is None:
            return False
        is_map = name not in ("original", "stack.npy")
        return not is_map or bool(session.scalar(select(Segmentation.id).where(Segmentation.map_key == key).limit(1)))


def _is_named_by_evaluation(resources: Resources, key: str, named: dict[str, frozenset[str]]) -> bool:
    """Groups of cases, the findings and the report that the rows of an evaluation name. named: a cache."""
    evaluation_id = key.split("/")[2]
    if evaluation_id not in named:
        with resources.database.read() as session:
            keys = session.scalars(
                select(EvaluationCase.map_key).where(EvaluationCase.evaluation_id == evaluation_id).distinct()
            ).all()
            row = session.get(Evaluation, evaluation_id)
            prefixes = () if row is None else states.kept_prefixes(row)
        named[evaluation_id] = frozenset(item for item in (*keys, *prefixes) if item)
    return key in named[evaluation_id] or any(key.startswith(f"{item}/") for item in named[evaluation_id])
