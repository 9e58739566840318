"""Segmentations: asking for one, what a worker reads and writes, canceling, trying again."""

from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ml.cards import Card, DoubtRule
from ml.measurements import Measures
from ml.scans.sequence import StatedSequence
from webapp.domain.catalog.thresholds import checked_threshold
from webapp.domain.errors import NotFound
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.broker import INTERACTIVE
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.resources import Resources
from webapp.domain.scans import spacing, visits
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.tracing import asked


@dataclass(frozen=True)
class SegmentationInput:
    """What a worker must know to run a claimed segmentation; plain values, so that no session stays open."""

    scan_id: str
    segmentation_id: str
    model: str
    threshold: float
    waited_ms: float
    # The stored map to use instead of the network where the model is still of that version, what ran to make it, what
    # that run warned of, and the slices, from 0, that the first member of a cascade answered alone.
    map_key: str | None
    map_version: str | None
    map_engine: str | None
    map_warnings: tuple[str, ...]
    map_first_looks: tuple[int, ...] = ()
    # What the scan's file says that it is; None where it does not say.
    sequence: StatedSequence | None = None
    # The network then sees a rim around the brain (`ml.skull`).
    is_skull_stripped: bool = False


@dataclass(frozen=True)
class RunFacts:
    """What made a run's map and where it is, and the rule of its masks; a run's row keeps them beside its measures."""

    map_key: str
    engine: str | None
    model_version: str | None
    # On the scan's own grid, as the rule of doubt.
    min_tumor_pixels: int
    doubt_rule: DoubtRule | None
    timings_ms: dict[str, float]
    warnings: tuple[str, ...] = ()


def add(session: Session, scan_id: str, *, model: str, version: str | None, threshold: float) -> Segmentation:
    """Write a queued segmentation; the caller's transaction also sees to the scan. Publish after the commit."""
    segmentation = Segmentation(
        scan_id=scan_id,
        scan_created_at=select(Scan.created_at).where(Scan.id == scan_id).scalar_subquery(),
        model=model,
        model_version=version,
        threshold=threshold,
        status=Status.QUEUED,
    )
    session.add(segmentation)
    session.flush()
    refresh_displayed(session, scan_id)
    return segmentation


def note_progress(resources: Resources, claim: lifecycle.Claim, slices_done: int) -> None:
    """Say how many slices the network has done; nothing happens where the claim is not valid any more.

    Raises DatabaseUnavailable.
    """
    with resources.database.write() as session:
        session.execute(update(Segmentation).where(claim.is_valid()).values(slices_done=slices_done))


@asked("another run")
def request(resources: Resources, scan_id: str, *, model: str | None, threshold: float | None) -> str:
    """Run a scan again with another model, or save another threshold of a stored map. Returns the new run's id.

    Where the same run is open already, that one is returned: a double click makes one job. Raises NotFound,
    InvalidInput.
    """
    with resources.database.read() as session:
        scan = session.get(Scan, scan_id)
        if scan is None:
            raise NotFound("There is no such scan.")
        shown = session.get(Segmentation, scan.displayed_id) if scan.displayed_id else None
    # Read from files: not while other writers wait.
    card = resources.catalog.card(model or (shown.model if shown else None))
    wanted = checked_threshold(threshold, card.threshold)
    with resources.database.write() as session:
        scan = _lock(session, scan_id)
        if scan is None:
            raise NotFound("There is no such scan.")
        shown = session.get(Segmentation, scan.displayed_id) if scan.displayed_id else None
        duplicate = session.scalar(
            select(Segmentation.id).where(
                Segmentation.scan_id == scan_id,
                Segmentation.model == card.name,
                Segmentation.threshold == wanted,
                Segmentation.status.in_(OPEN_STATUSES),
            )
        )
        if duplicate is not None:
            return duplicate
        visits.check_runs(session, resources.settings)
        segmentation = add(session, scan_id, model=card.name, version=card.release, threshold=wanted)
        # Only a change of the threshold asks for the stored map; an explicit model means: run it.
        if model is None and shown is not None and shown.map_key is not None and _is_of(shown, card):
            segmentation.map_of_id = shown.id
        segmentation_id = segmentation.id
    resources.queue.publish(INTERACTIVE)
    resources.traces.begin(segmentation_id)
    return segmentation_id


def read_input(session: Session, row: Segmentation) -> SegmentationInput:
    """What is needed to run a segmentation that was claimed in this transaction."""
    source = session.get(Segmentation, row.map_of_id) if row.map_of_id else None
    scan = session.get_one(Scan, row.scan_id)
    waited_s = 0.0 if row.started_at is None else (row.started_at - row.queued_at).total_seconds()
    return SegmentationInput(
        scan_id=scan.id,
        segmentation_id=row.id,
        model=row.model,
        threshold=row.threshold,
        waited_ms=max(0.0, waited_s * 1000),
        map_key=source.map_key if source else None,
        map_version=source.model_version if source else None,
        map_engine=source.engine if source else None,
        map_warnings=tuple(source.warnings) if source else (),
        map_first_looks=_first_looks(source),
        sequence=None if scan.sequence is None else StatedSequence.from_json(scan.sequence),
        is_skull_stripped="skull_stripped" in scan.warnings,
    )


def _first_looks(source: Segmentation | None) -> tuple[int, ...]:
    slices = [] if source is None else source.slices or []
    return tuple(item["index"] for item in slices if item.get("is_first_look"))


def complete(resources: Resources, claim: lifecycle.Claim, measures: Measures, facts: RunFacts) -> bool:
    """Write a run's result under its lease; False where the lease was lost and nothing was written."""
    doubt = None if measures.doubt is None else asdict(measures.doubt)
    values = {name: getattr(measures, name) for name in _MEASURED}
    with resources.database.write() as session:
        scan_id = session.scalar(select(Segmentation.scan_id).where(Segmentation.id == claim.id))
        if scan_id is None:
            return False
        scan = _lock(session, scan_id)  # before the run's own row: a deletion takes the two in this order
        # By the spacing of now: somebody may have entered it since the run began.
        distances = None if scan is None else scan.spacing_mm
        area_mm2, volume_mm3, slices = spacing.sizes([asdict(item) for item in measures.slices], distances)
        values |= {"area_mm2": area_mm2, "volume_mm3": volume_mm3}
        is_written = lifecycle.complete(
            session, claim, verdict=measures.verdict, slices=slices, doubt=doubt, **values, **asdict(facts)
        )
        if is_written:
            refresh_displayed(session, scan_id)
        return is_written


def cancel(resources: Resources, segmentation_id: str) -> None:
    """End an open segmentation. Raises NotFound, WrongState."""
    with resources.database.write() as session:
        lifecycle.cancel(session, Segmentation, segmentation_id)


def retry(resources: Resources, segmentation_id: str) -> None:
    """Queue a failed or cancelled segmentation again. Raises NotFound, WrongState."""
    with resources.database.write() as session:
        lifecycle.retry(session, Segmentation, segmentation_id)
    resources.queue.publish(INTERACTIVE)


def runs(session: Session, scan_id: str) -> list[Segmentation]:
    """All runs of a scan, newest first."""
    return list(
        session.scalars(
            select(Segmentation)
            .where(Segmentation.scan_id == scan_id)
            .order_by(Segmentation.created_at.desc(), Segmentation.id.desc())
        )
    )


def refresh_displayed(session: Session, scan_id: str) -> None:
    """Point the scan at the run to show: the newest that succeeded, else the newest.

    Under the scan's lock: of two runs that end at once, the second one's statement begins when the first has committed,
    and sees it.
    """
    _lock(session, scan_id)
    newest = (
        select(Segmentation.id)
        .where(Segmentation.scan_id == scan_id)
        .order_by(
            (Segmentation.status == Status.SUCCEEDED).desc(), Segmentation.created_at.desc(), Segmentation.id.desc()
        )
        .limit(1)
    )
    session.execute(
        update(Scan)
        .where(Scan.id == scan_id)
        .values(displayed_id=newest.scalar_subquery())
        .execution_options(synchronize_session=False)
    )


def _is_of(run: Segmentation, card: Card) -> bool:
    return (run.model, run.model_version) == (card.name, card.release)


def _lock(session: Session, scan_id: str) -> Scan | None:
    """The scan, locked against other writers of its row until the transaction ends; None where it is gone."""
    # key_share: other transactions may go on adding runs to it. SQLite has one writer anyway.
    return session.scalar(select(Scan).where(Scan.id == scan_id).with_for_update(key_share=True))


def counts_by_status(session: Session) -> dict[str, int]:
    """Rows in each state, zero included."""
    counted = dict(session.execute(select(Segmentation.status, func.count()).group_by(Segmentation.status)).all())
    return {status.value: counted.get(status, 0) for status in Status}


_MEASURED = ("tumor_pixels", "total_pixels", "coverage_percent", "max_probability")
