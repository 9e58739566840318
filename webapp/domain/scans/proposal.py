"""Which volumes of a study are probably its T1, FLAIR and T1 with contrast: a proposal that a person confirms."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from ml.ood.sequences import MIXED_SEQUENCES, NOT_FLAIR
from ml.scans.sequence import SequenceKind
from webapp.domain.jobs.models import Status
from webapp.domain.scans.joining import FORMAT, Choice
from webapp.domain.scans.models import Scan
from webapp.domain.scans.sequence_groups import name_without_sequence

# More volumes of one study are not offered: a list to choose from stays one.
MOST_VOLUMES = 40


@dataclass(frozen=True)
class Proposal:
    """volumes: ids, names and stated kinds (None: not stated), in the order in which they came. flair, t1, t1_post:
    proposed ids; None where nothing speaks for any."""

    volumes: tuple[tuple[str, str, SequenceKind | None], ...]
    flair: str | None
    t1: str | None
    t1_post: str | None


def propose(session: Session, study_id: str | None) -> Proposal | None:
    """Of a study with two volumes or more; None of others."""
    if study_id is None:
        return None
    wanted = (
        select(Scan)
        .where(Scan.study_id == study_id, Scan.geometry.is_not(None), Scan.format != FORMAT)
        .order_by(Scan.created_at, Scan.id)
        .limit(MOST_VOLUMES)
        .options(joinedload(Scan.displayed))
    )
    scans = list(session.scalars(wanted))
    if len(scans) < 2:
        return None
    kinds = {scan.id: SequenceKind(scan.sequence["kind"]) if scan.sequence else None for scan in scans}
    by_kind = {kind: [scan for scan in scans if kinds[scan.id] is kind] for kind in SequenceKind}
    flair = next(iter(by_kind[SequenceKind.FLAIR]), None)
    flair = flair or _looks_like_flair([scan for scan in scans if kinds[scan.id] is None])
    return Proposal(
        volumes=tuple((scan.id, scan.filename, kinds[scan.id]) for scan in scans),
        flair=flair.id if flair else None,
        t1=_beside(flair, by_kind[SequenceKind.T1]),
        t1_post=_beside(flair, by_kind[SequenceKind.T1_POST]),
    )


def _beside(flair: Scan | None, scans: Sequence[Scan]) -> str | None:
    """Of several scans of one kind that whose name is FLAIR's without the sequence: a study may have two patients."""
    wanted = name_without_sequence(flair.filename) if flair else None
    return next((scan.id for scan in scans if name_without_sequence(scan.filename) == wanted), None) or (
        scans[0].id if scans else None
    )


def choice_of(flair: str, t1: str, t1_post: str) -> Choice:
    """What a form says; empty: none."""
    return Choice(flair, t1 or None, t1_post or None)


def _looks_like_flair(scans: Sequence[Scan]) -> Scan | None:
    """The only one of these that its run did not find to be of another sequence."""
    found = [
        scan
        for scan in scans
        if scan.displayed is not None
        and scan.displayed.status is Status.SUCCEEDED
        and not {NOT_FLAIR, MIXED_SEQUENCES}.intersection(scan.displayed.warnings)
    ]
    return found[0] if len(found) == 1 else None
