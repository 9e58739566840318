"""A model on files without expert masks. Never imports torch.

Files are decoded in the sandbox, as uploads are: files to predict on often come from elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ml.datasets.file_names import shown
from ml.datasets.volume_slices import number_of
from ml.engines import Engine
from ml.engines.context import Context
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import measure, verdict_of
from ml.prediction.outputs import (
    COLUMNS,
    FOLDERS,
    PredictedSlice,
    write_error,
    write_slice,
    write_volume_mask,
)
from ml.prediction.sources import PictureNames, Source, check_name
from ml.reports.csv import TableWriter
from ml.sandbox.decoder import Decoded, Decoder
from ml.scans import ScanError, unread_formats
from ml.scans.scan import LeftOut
from ml.scans.sequence import VOLUME_FORMATS, agree, kind_of_name
from ml.skull import infer_stripped, stripped_warnings

# Of a series without its damaged files, as the portal calls it.
_SLICES_REFUSED = "slices_refused"


@dataclass(frozen=True)
class Predictions:
    """What is said at the end. errors: a sentence a file that cannot be decoded, those of series among them.

    failed: how many sources have no slices; damaged: how many files are left out of series; warned: how many sources
    have a warning, by its code.
    """

    errors: tuple[str, ...]
    failed: int
    damaged: int
    warned: Mapping[str, int]


def predict_sources(
    engine: Engine,
    sources: Sequence[Source],
    folder: Path,
    threshold: float,
    decoder: Decoder,
    report_progress: Callable[[int], object] = lambda done: None,
) -> Predictions:
    """Write all results into `folder`; a file that cannot be decoded is a row with its error, and the rest goes on. So
    is one that is left out of its series.

    Raises EngineError and OSError, which end everything.
    """
    errors: list[str] = []
    failed = damaged = 0
    warned: Counter[str] = Counter()
    names = PictureNames(sources)
    for name in FOLDERS:
        (folder / name).mkdir()
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        table = TableWriter(file, COLUMNS)

        def refuse(path: Path, message: str) -> None:
            errors.append(f"{shown(str(path))}: {message}")
            write_error(table, path, message)

        for done, source in enumerate(sources, start=1):
            lost: tuple[LeftOut, ...] = ()
            try:
                check_name(source)
                decoded, pixels = _read(source, folder, decoder)
                lost = decoded.left_out if source.series else ()
                whole = _without(source, lost)
                for one, warnings in _predict(engine, whole, decoded, pixels, names, threshold, folder):
                    write_slice(folder, table, one, " ".join(warnings))
                    warned.update(warnings if one.index == 0 else ())
                damaged += len(lost)
            except ScanError as error:
                refuse(source.path, error.message)
                lost = lost or (error.files if source.series else ())
                failed += 1
            for item in lost:
                refuse(source.series[item.place], item.message)
            report_progress(done)
    return Predictions(tuple(errors), failed, damaged, warned)


def _decode(path: Path, folder: Path, decoder: Decoder, number: int | None = None) -> tuple[Decoded, NDArray[np.uint8]]:
    """What is known of a file, or of one of its volumes, and its pixels, uint8 (N, H, W, 3). Raises ScanError."""
    stack = folder / ".stack.npy"
    try:
        unread_formats.check_name(path.name)
        return decoder.decode(path, stack, volume=number), np.load(stack)
    except ScanError as error:
        raise unread_formats.explained(error, path.name) from error
    finally:
        stack.unlink(missing_ok=True)


def _decode_series(files: Sequence[Path], folder: Path, decoder: Decoder) -> tuple[Decoded, NDArray[np.uint8]]:
    """The same of the files of one DICOM series."""
    stack, copies = folder / ".stack.npy", folder / ".series.zip"
    try:
        return decoder.decode_series(files, stack, copies), np.load(stack)
    finally:
        stack.unlink(missing_ok=True)
        copies.unlink(missing_ok=True)


def _read(source: Source, folder: Path, decoder: Decoder) -> tuple[Decoded, NDArray[np.uint8]]:
    """The same of a source, with the other channels of a patient. Raises ScanError."""
    if source.series:
        return _decode_series(source.series, folder, decoder)
    decoded, pixels = _decode(source.path, folder, decoder, number_of(source.numbers, 1))
    for plane, path in zip((0, 2), source.channels or (), strict=False):
        other = _decode(path, folder, decoder, number_of(source.numbers, plane))[1]
        if other.shape != pixels.shape:
            raise ScanError("unreadable", f"{shown(path.name)} has another number of voxels than its FLAIR.")
        pixels[..., plane] = other[..., 0]
    return decoded, pixels


def _without(source: Source, lost: Sequence[LeftOut]) -> Source:
    """The source of a series by the first of its files that were read."""
    places = {item.place for item in lost}
    read = [path for place, path in enumerate(source.series) if place not in places]
    return replace(source, path=read[0]) if read else source


def _predict(
    engine: Engine,
    source: Source,
    decoded: Decoded,
    pixels: NDArray[np.uint8],
    names: PictureNames,
    threshold: float,
    folder: Path,
) -> Iterator[tuple[PredictedSlice, tuple[str, ...]]]:
    """The slices of one file, each with the codes of the file's warnings, once the mask of a volume is in `folder`.

    Raises ScanError before the first one.
    """
    picture_names = names.of(source, len(pixels), is_volume=decoded.grid is not None)
    is_stripped = "skull_stripped" in decoded.warnings
    found = infer_stripped(engine, pixels) if is_stripped else engine.infer(pixels, Context.of_stack(len(pixels)))
    is_known = engine.card.input.flair_channel is not None and decoded.format in VOLUME_FORMATS
    name = PurePosixPath(source.name).name if source.series else source.path.name
    stated = agree(decoded.sequence, kind_of_name(name)) if is_known else None
    is_flair = None if stated is None else stated.is_flair
    warnings = found.warnings_beside(is_flair) + (stripped_warnings(engine, is_flair) if is_stripped else ())
    warnings += (_SLICES_REFUSED,) if decoded.left_out else ()
    probability_u8 = found.probability_u8
    masks = apply_rule(probability_u8, rule_on_grid(engine.card, threshold, *probability_u8.shape[1:]), is_stack=True)
    volume_mask = None if decoded.grid is None else write_volume_mask(folder, source, masks, decoded.grid)
    # Of the whole stack at once: what is lit, and so the head, is told by all of its slices.
    for one in measure(probability_u8, masks, decoded.spacing_mm, warnings, pixels).slices:
        index, masks_of_one = one.index, masks.of_slice(one.index)
        verdict = verdict_of(has_tumor=one.tumor_pixels > 0, has_doubt=one.doubtful_pixels > 0, warnings=warnings)
        found_slice = PredictedSlice(
            source, index, picture_names[index], pixels[index], masks_of_one, one, verdict, volume_mask
        )
        yield found_slice, warnings
