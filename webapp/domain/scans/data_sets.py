"""Scans with experts' masks, written as the folder of a data set: what an evaluation of them reads."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ml.datasets.mask_findings import NEIGHBORS_LEFT_OUT
from ml.datasets.time_points import name_of_scan
from ml.rendering import panels
from ml.scans.cut_slices import CutSlice, texts_of_mask
from ml.scans.sequence import StatedSequence
from webapp.domain.database.search_keys import search_key
from webapp.domain.errors import InvalidInput
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, truth
from webapp.domain.scans.grouping import number_of, title_of
from webapp.domain.scans.member_names import MemberNames, clean_member
from webapp.domain.scans.models import Scan, Study
from webapp.domain.scans.patients import patient_of
from webapp.domain.scans.truth import Truth
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import stack_key

# Its files have its name, a number and an ending behind it.
LONGEST_FOLDER_BYTES = 120


def with_truth(resources: Resources, scan_ids: Sequence[str]) -> list[Scan]:
    """Those of the scans that have an expert's mask.

    Raises NotFound (a scan is not there), InvalidInput (none has a mask, or there are too many slices).
    """
    with resources.database.read() as session:
        scans = [scan for scan in (lookup.get(session, scan_id) for scan_id in scan_ids) if scan.truth is not None]
    if not scans:
        raise InvalidInput("None of these scans has an expert's mask to compare with; add one on its page.")
    most = resources.settings.max_archive_files // 2
    slices = sum(scan.slice_count for scan in scans)
    if slices > most:
        raise InvalidInput(
            f"These scans have {slices:,} slices and at most {most:,} are evaluated at once; take fewer."
        )
    return scans


def write(resources: Resources, scans: Sequence[Scan], folder: Path) -> None:
    """A folder for each patient, with NAME_7.png and NAME_7_mask.png for each slice that has an expert's mask.

    A stack is a patient, and so is a single slice without a number; numbered ones are one patient's where they are of
    one study and their names differ in their numbers alone. Of several with one number the second is called NAME_7 (2):
    another number would be another slice's.
    Raises StorageFull, StorageUnavailable.
    """
    taken: dict[str, MemberNames] = defaultdict(MemberNames)  # names of the slices written, by patient
    patients = _patients(scans, _persons(resources, scans))
    for scan in scans:
        patient = patients[scan.id]
        expert = Truth.of(scan)
        if expert is None:
            continue
        stack = read_array(resources.storage, stack_key(scan.id))  # (N, H, W, 3)
        place = folder / patient
        said = _said(scan)
        of_stack = () if all(map(expert.has_slice, range(scan.slice_count))) else (NEIGHBORS_LEFT_OUT,)
        with translated_errors():
            place.mkdir(exist_ok=True)
        for index in range(scan.slice_count):
            if not expert.has_slice(index):
                continue
            number = index + 1 if scan.slice_count > 1 else number_of(scan.filename) or 1
            name = taken[patient].take(f"{patient}_{number}")
            image = panels.encode_png(panels.scan_image(np.array(stack[index])), said)
            mask = panels.encode_png(
                panels.mask_image(truth.read_slice(resources, scan, expert, index)),
                texts_of_mask((*expert.shown_by_file(index), *of_stack)),
            )
            for ending, data in (("", image), ("_mask", mask)):
                with translated_errors():
                    (place / f"{name}{ending}.png").write_bytes(data)


def _said(scan: Scan) -> dict[str, str]:
    """What must be known of a volume to read its slices as the scan's own run does."""
    sequence = None if scan.sequence is None else StatedSequence.from_json(scan.sequence).kind
    return CutSlice("skull_stripped" in scan.warnings, sequence).texts()


def _persons(resources: Resources, scans: Sequence[Scan]) -> dict[str, str]:
    """By the id of each scan whose patient is known, by what two are of one."""
    with resources.database.read() as session:
        studies = {study_id: session.get(Study, study_id) for study_id in {scan.study_id for scan in scans} - {None}}
        entered = {study_id: patient_of(session, study).key for study_id, study in studies.items() if study}
    known = {scan.id: scan.patient_key or entered.get(scan.study_id) for scan in scans}
    return {scan_id: key for scan_id, key in known.items() if key}


def _patients(scans: Sequence[Scan], persons: Mapping[str, str]) -> dict[str, str]:
    """The name of each scan's patient, by its id. persons: of `_persons`."""
    names = MemberNames()
    by_key: dict[tuple[str | None, ...], str] = {}
    found = {}
    # Single slices first: their names do not depend on the order in which stacks are named.
    for scan in sorted(scans, key=lambda scan: scan.slice_count > 1):
        is_numbered = scan.slice_count == 1 and number_of(scan.filename) is not None
        title = clean_member(title_of(scan.filename) if is_numbered else scan.stem, LONGEST_FOLDER_BYTES)
        key = (scan.study_id, search_key(title)) if is_numbered else (scan.id,)
        if key not in by_key:
            by_key[key] = names.take(title)
        found[scan.id] = by_key[key]
    owned: dict[str, set[str]] = defaultdict(set)
    for scan_id, person in persons.items():
        owned[person].add(found[scan_id])
    # By their names: an evaluation of the same scans in another order is compared with this one.
    several = sorted(sorted(own) for own in owned.values() if len(own) > 1)
    called = {name: name_of_scan(number, name) for number, own in enumerate(several, start=1) for name in own}
    return {scan_id: called.get(name, name) for scan_id, name in found.items()}
