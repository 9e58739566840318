"""What the scans of a drop's DICOM series are called: by their folders, and by what tells those of one name apart."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml.datasets.file_names import slashed
from ml.sandbox.decoder import SortedSeries
from webapp.domain.scans.grouping import EVERYBODYS_FOLDERS

# What a scan is called whose files came without a folder.
UNNAMED = "DICOM series"
# A file as scanners and archives number it, of every patient: IM_0001, I0000012.dcm, MR.1.2.840.113619.2.5.
_OF_SCANNERS = re.compile(r"(im|img|image|i|mr|mri|slice)?[-_. ]?[0-9.]+(\.(dcm|dicom|ima))?", re.IGNORECASE)


@dataclass(frozen=True)
class SeriesName:
    """The name of a series' scan, in its parts.

    own: its file's, or of several files the innermost folder around them. around: the folder that tells its patient
    from others who have series of the same name (`sub-01` of `sub-01/flair`, `P7` of `P7/DICOM`); empty where none
    does. suffix: what else tells it from series of the same name.
    """

    own: str
    around: str = ""
    suffix: str = ""

    @property
    def title(self) -> str:
        """As the client chose it."""
        return f"{self.around} {self.own}" if self.around else self.own


def name_series(series: Sequence[SortedSeries], names: Sequence[str], filenames: Sequence[str]) -> list[SeriesName]:
    """The name of each series. names: of all files as the client sent them, with folders; filenames: without."""
    titles = [
        SeriesName(filenames[one.places[0]] if len(one.places) == 1 else shared_folder(_of(one, names)) or UNNAMED)
        for one in series
    ]
    around = _folders_around(series, names, titles)
    around = [
        folder or _folder_of_everybodys(title.own, _path_around(_of(one, names)))
        for one, title, folder in zip(series, titles, around, strict=True)
    ]
    return _told_apart(series, [replace(title, around=folder) for title, folder in zip(titles, around, strict=True)])


def folder_of(name: str) -> str:
    """The folder of a file as the client sent it, from `/` on."""
    return "/" + slashed(name).strip("/").rpartition("/")[0]


def shared_folder(names: Sequence[str]) -> str:
    """The innermost folder around files; empty where there is none."""
    return _path_around(names).rpartition("/")[2]


def _folders_around(series: Sequence[SortedSeries], names: Sequence[str], titles: Sequence[SeriesName]) -> list[str]:
    """Of each series whose title others have, too, who are other patients: the folder that tells them apart
    (`sub-01/flair`, `sub-02/flair`); empty where it is none, or has several of them in it."""
    folders = [_parts(_path_around(_of(one, names))) for one in series]
    around = [""] * len(series)
    for title in set(titles):
        alike = [place for place, other in enumerate(titles) if other == title]
        shared = len(_parts(os.path.commonpath(["/" + "/".join(folders[place]) for place in alike])))
        patients: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for place in alike:
            patients[folders[place][shared : shared + 1]].add(series[place].patient)
        if len(patients) > 1 and () not in patients and all(len(own) == 1 for own in patients.values()):
            for place in alike:
                around[place] = folders[place][shared]
    return around


def _folder_of_everybodys(own: str, path: str) -> str:
    """The folders around a name that every patient has (`DICOM`, `flair`, `IM_0001`), up to one that not every patient
    has; empty where there is none, or the name says more. path: of the innermost folder around the series."""
    if own.casefold() not in EVERYBODYS_FOLDERS and not _OF_SCANNERS.fullmatch(own):
        return ""
    folders = list(reversed(_parts(path)))
    around = folders[1:] if folders[:1] == [own] else folders
    first = next((place for place, folder in enumerate(around) if folder.casefold() not in EVERYBODYS_FOLDERS), None)
    return "" if first is None else " ".join(reversed(around[: first + 1]))


def _told_apart(series: Sequence[SortedSeries], titles: Sequence[SeriesName]) -> list[SeriesName]:
    """The names with what tells equal titles apart: the number of the patient and the words of the series.

    A folder around may be called by the patient's name, and is gone by the time that the scan is stored: it tells for
    certain only patients of whom no header says who they are.
    """
    patients: dict[str, list[int]] = defaultdict(list)
    for one, name in zip(series, titles, strict=True):
        if one.patient not in patients[name.own]:
            patients[name.own].append(one.patient)
    shared = Counter(name.title for name in titles)
    alike: Counter[str] = Counter()
    told = []
    for one, name in zip(series, titles, strict=True):
        suffix, others = "", patients[name.own]
        if len(others) > 1 and (one.digest or not name.around):
            suffix += f", patient {others.index(one.patient) + 1}"
        if shared[name.title] > 1 and one.label.description:
            suffix += f", {one.label.description}"
        alike[name.title + suffix] += 1
        number = alike[name.title + suffix]
        told.append(replace(name, suffix=suffix if number == 1 else f"{suffix} ({number})"))
    return told


def _of(series: SortedSeries, names: Sequence[str]) -> list[str]:
    return [names[place] for place in series.places]


def _path_around(names: Sequence[str]) -> str:
    return os.path.commonpath([folder_of(name) for name in names])


def _parts(folder: str) -> tuple[str, ...]:
    return tuple(part for part in folder.split("/") if part)
