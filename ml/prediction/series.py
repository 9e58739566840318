"""DICOM files to predict on as the series that they are, whatever their names, endings and folders.

What belongs together is told by the headers, in the sandbox, as with uploads.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ml.datasets.case import DatasetError
from ml.datasets.checking.problems import LeftOut, Problem, left_out_of
from ml.datasets.file_names import name_key, natural_key, shown
from ml.prediction.sources import Source, is_dicom_file, unique_name
from ml.sandbox.decoder import Decoder
from ml.scans import ScanError
from ml.scans.scan import DamagedFile

# Sorted by one process: a hospital's study of all sequences has some thousand.
MOST_FILES = 10_000


def join_series(sources: Sequence[Source], decoder: Decoder) -> tuple[tuple[Source, ...], tuple[LeftOut, ...]]:
    """The sources with the files of each DICOM series as one, and what of DICOM is none.

    A damaged file stays by itself, to be told with the others that cannot be decoded. Raises DatasetError where there
    are too many files, and where nothing is left.
    """
    places = [place for place, source in enumerate(sources) if is_dicom_file(source.path)]
    if len(places) < 2:
        return tuple(sources), ()
    if len(places) > MOST_FILES:
        raise DatasetError(
            f"There are {len(places):,} DICOM files, and {MOST_FILES:,} are read at a time; give fewer folders."
        )
    try:
        own = [sources[place].path for place in places]
        found = decoder.sort_series(own, [path.absolute().parent.as_posix() for path in own])
    except ScanError as error:
        raise DatasetError(f"The DICOM files cannot be sorted into series: {error.message}") from error
    refused = [(places[place], error) for place, error in found.refused if not isinstance(error, DamagedFile)]
    groups = [[places[place] for place in series.places] for series in found.series]
    joined = {place for group in groups for place in group} | {place for place, _ in refused}
    kept = {place: source for place, source in enumerate(sources) if place not in joined}
    taken = {name_key(source.name) for source in kept.values()}
    for group in sorted(groups, key=min):
        kept[min(group)] = _joined([sources[place] for place in group], taken)
    left_out = left_out_of(
        Problem("left_out", (shown(str(sources[place].path)),), error.message) for place, error in refused
    )
    if not kept:
        reasons = " ".join(group.sentence for group in left_out)
        raise DatasetError(f"There are no images to predict on; what was left out: {reasons}")
    return tuple(kept[place] for place in sorted(kept)), left_out


def _joined(group: Sequence[Source], taken: set[str]) -> Source:
    """One source of a series' files, called by the folder that all of them lie in."""
    files = sorted(group, key=lambda source: natural_key(source.path.as_posix()))
    if len(files) == 1:
        return replace(files[0], name=unique_name(files[0].name, taken))
    folder = os.path.commonpath([PurePosixPath(source.name).parent for source in files])
    name = Path(folder).as_posix() if folder else files[0].path.absolute().parent.name
    return replace(files[0], name=unique_name(name or "series", taken), series=tuple(one.path for one in files))
