"""Whose DICOM files are: by their headers, and where these name nobody by the examination and the folder.

Some programs that de-identify give every patient one UID of series and study, or none; what is left of who is who are
the folders in which the files were sent.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from ml.scans.readers.dicom.instances import Instance


@dataclass(frozen=True)
class Whose:
    """person: equal for two files of one. folder: that in which the file's series lies wholly; empty where a series may
    lie in several."""

    person: Hashable
    folder: str = ""


def whose_files(instances: Sequence[Instance], folders: Sequence[str]) -> list[Whose]:
    """Of each file. folders: in which they were sent, `/` between their parts."""
    births = {(item.patient, item.born) for item in instances if item.patient and item.born}
    of_id = Counter(patient for patient, _ in births)
    # Two birth dates under one id are two persons.
    found = [
        Whose((item.patient, item.born if of_id[item.patient] > 1 else item.patient or item.examination))
        for item in instances
    ]
    unnamed: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(instances):
        if not item.patient:
            unnamed[item.examination].append(place)
    for examination, places in unnamed.items():
        mixed = {place for part in _of_several_folders(instances, folders, places) for place in part}
        if not mixed:
            continue
        around = len(_parts(os.path.commonpath([f"/{folders[place]}" for place in mixed])))
        for place in places:
            person = _parts(folders[place])[: around + 1]
            found[place] = Whose(("", examination, person), folders[place] if place in mixed else "")
    return found


def captures_beside_images(instances: Sequence[Instance], people: Sequence[Whose]) -> list[int]:
    """The places of captures (dose sheets, screens, films) of people of whom images of a scanner are there, too: these
    are what is read. Where captures are all that there is, a PACS may keep slices so."""
    imaged = {whose.person for item, whose in zip(instances, people, strict=True) if not item.is_capture}
    return [
        place
        for place, (item, whose) in enumerate(zip(instances, people, strict=True))
        if item.is_capture and whose.person in imaged
    ]


def _of_several_folders(
    instances: Sequence[Instance], folders: Sequence[str], places: Sequence[int]
) -> Iterator[Sequence[int]]:
    """The files of each series that is one in each folder, and not one in all: without a UID, or where a number of a
    picture comes again in another folder with another picture. A file that was sent twice is no other."""
    series: dict[str, list[int]] = defaultdict(list)
    for place in places:
        series[instances[place].series_uid].append(place)
    for uid, own in series.items():
        if len({folders[place] for place in own}) > 1 and (not uid or _has_number_again(instances, folders, own)):
            yield own


def _has_number_again(instances: Sequence[Instance], folders: Sequence[str], places: Sequence[int]) -> bool:
    seen: dict[tuple[Hashable, ...], tuple[str, str]] = {}
    for place in places:
        item = instances[place]
        picture = (item.number, item.acquisition, item.echo, item.frames[0].orientation)
        folder, uid = seen.setdefault(picture, (folders[place], item.instance_uid))
        if folder != folders[place] and (not uid or uid != item.instance_uid):
            return True
    return False


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)
