"""A model on files without expert masks: masks, cut-outs, overlays and `predictions.csv`. Never imports torch.

Files are decoded in the sandbox, as uploads are: what is predicted on often comes from elsewhere.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.datasets.case import DatasetError
from ml.datasets.file_names import IMAGE_SUFFIXES
from ml.engines import Engine
from ml.masks import Measures, measure, min_pixels_on_grid, tumor_mask
from ml.ood.detector import warnings_of
from ml.rendering.panels import cutout_image, encode_png, mask_image, overlay_image
from ml.sandbox.decoder import Decoder
from ml.scans import ScanError

MASK_ENDING = "_mask"
COLUMNS = (
    "file",
    "slice",
    "verdict",
    "tumor_pixels",
    "total_pixels",
    "coverage_percent",
    "max_probability",
    "area_mm2",
    "mask",
    "cutout",
    "overlay",
    "warnings",
    "error",
)
_FOLDERS = ("masks", "cutouts", "overlays")


@dataclass(frozen=True)
class Source:
    """A file to predict on. name: its place in the results, without suffix; one of its kind."""

    path: Path
    name: str


def find_sources(paths: Sequence[Path]) -> tuple[Source, ...]:
    """Files as they are given, and images of folders with all folders in them, expert masks (`_mask`) left out.

    Raises DatasetError where a path does not exist or a folder has no images.
    """
    found: list[tuple[Path, Path]] = []  # the file, and its place below what was given
    for path in paths:
        if path.is_file():
            found.append((path, Path(path.name)))
            continue
        if not path.is_dir():
            raise DatasetError(f"{path} does not exist; give an image or a folder with images.")
        images = sorted(item for item in path.rglob("*") if _is_image(item))
        if not images:
            raise DatasetError(f"{path} has no images ({', '.join(IMAGE_SUFFIXES)}); give another folder.")
        found.extend((image, image.relative_to(path)) for image in images)
    sources: list[Source] = []
    taken: set[str] = set()
    for path, place in found:
        name = place.with_suffix("").as_posix()
        number = 2
        while name in taken:  # a.png and a.tif, or two folders with equal names
            name, number = f"{place.with_suffix('').as_posix()}_{number}", number + 1
        taken.add(name)
        sources.append(Source(path, name))
    return tuple(sources)


def predict_sources(
    engine: Engine,
    sources: Sequence[Source],
    folder: Path,
    threshold: float,
    decoder: Decoder,
    report_progress: Callable[[int], None] = lambda done: None,
) -> tuple[str, ...]:
    """Write all results into `folder`; a file that cannot be decoded is a row with its error, and the rest goes on.

    Returns the errors. Raises EngineError and OSError, which end everything.
    """
    errors: list[str] = []
    for name in _FOLDERS:
        (folder / name).mkdir()
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        for done, source in enumerate(sources, start=1):
            try:
                table.writerows(_predict(engine, source, folder, threshold, decoder))
            except ScanError as error:
                errors.append(f"{source.path}: {error.message}")
                table.writerow({"file": _cell(str(source.path)), "error": error.message})
            report_progress(done)
    return tuple(errors)


def _predict(engine: Engine, source: Source, folder: Path, threshold: float, decoder: Decoder) -> list[dict]:
    """The rows of one file, one a slice, its pictures written. Raises ScanError."""
    stack = folder / ".stack.npy"
    try:
        decoded = decoder.decode(source.path, stack)
        pixels = np.load(stack)  # uint8 (N, H, W, 3)
    finally:
        stack.unlink(missing_ok=True)
    found = engine.infer(pixels)
    q, warnings = found.q, " ".join(warnings_of(found.is_out_of_distribution))
    smallest = min_pixels_on_grid(engine.card.min_tumor_pixels, engine.card.input.size, *q.shape[1:])
    masks = tumor_mask(q, threshold, smallest)
    rows = []
    for index in range(len(q)):
        name = source.name if len(q) == 1 else f"{source.name}_{index:04}"
        pictures = (
            mask_image(masks[index]),
            cutout_image(pixels[index], masks[index]),
            overlay_image(pixels[index], masks[index]),
        )
        files = [f"{kind}/{name}.png" for kind in _FOLDERS]
        for file, picture in zip(files, pictures, strict=True):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if picture.mode == "RGBA":
                picture.save(path, compress_level=1)
            else:
                path.write_bytes(encode_png(picture))
        one = slice(index, index + 1)
        measures = measure(q[one], masks[one], decoded.spacing_mm)
        rows.append({**_row(source, index, measures, files), "warnings": warnings})
    return rows


def _row(source: Source, index: int, measures: Measures, files: list[str]) -> dict[str, object]:
    return {
        "file": _cell(str(source.path)),
        "slice": index,
        "verdict": measures.verdict,
        "tumor_pixels": measures.tumor_pixels,
        "total_pixels": measures.total_pixels,
        "coverage_percent": f"{measures.coverage_percent:.4f}",
        "max_probability": f"{measures.max_probability:.4f}",
        "area_mm2": "" if measures.area_mm2 is None else f"{measures.area_mm2:.3f}",
        **dict(zip(("mask", "cutout", "overlay"), files, strict=True)),
    }


def _cell(text: str) -> str:
    """A spreadsheet would run a file's name as a formula where it starts like one (OWASP, CSV Injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.stem.endswith(MASK_ENDING)
        and not path.name.startswith(".")
        and path.is_file()
    )
