"""Healthy volunteers, in T1 and echo-planar pictures: nobody is said to have a tumor; and true FLAIR is read."""

from pathlib import Path

import numpy as np
import pytest

from ml.engines import Engine, load_engine
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import Measures, Verdict, measure
from ml.scans import ScanError, read_scan
from ml.scans.readers.dicom.reader import read_series
from ml.scans.scan import Limits, Scan
from ml.scans.sequence import agree, kind_of_name
from ml.skull import infer_stripped, stripped_warnings
from tests.support import shipped_model

pytestmark = [pytest.mark.data, pytest.mark.long]

MOST_SLICES = 40


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(shipped_model.FOLDER, "openvino")


def judged(engine: Engine, scan: Scan, name: str) -> tuple[Measures, tuple[str, ...]]:
    """The portal's verdict on some slices of a scan, evenly drawn, and its warnings."""
    step = -(-len(scan.pixels) // MOST_SLICES)
    pixels = np.ascontiguousarray(scan.pixels[::step])
    is_stripped = "skull_stripped" in scan.warnings
    found = infer_stripped(engine, pixels) if is_stripped else engine.infer(pixels)
    stated = agree(scan.sequence, kind_of_name(name))
    is_flair = None if stated is None else stated.is_flair
    warnings = found.warnings_beside(is_flair) + (stripped_warnings(engine, is_flair) if is_stripped else ())
    rule = rule_on_grid(engine.card, engine.card.threshold, *pixels.shape[1:3])
    masks = apply_rule(found.probability_u8, rule, is_stack=True)
    return measure(found.probability_u8, masks, None, warnings), warnings


def read(files: list[Path]) -> Scan | None:
    """A scan; None where it is refused by name (mosaics, films)."""
    try:
        return read_series(files, Limits()) if files[0].suffix == ".dcm" else read_scan(files[0], Limits())
    except ScanError as error:
        assert "mosaic" in error.message or "series of volumes" in error.message or "several pictures" in error.message
        return None


def test_no_healthy_head_is_said_to_have_a_tumor(engine: Engine, real_data: Path) -> None:
    folder = real_data / "dicom"
    series = [sorted(path.glob("*.dcm")) for path in sorted(folder.glob("t1-*"))]
    single = [[path] for kind in ("mosaic", "compressed", "enhanced") for path in sorted((folder / kind).glob("*.dcm"))]
    volumes = [[path] for path in sorted((folder / "reference").glob("*.nii.gz"))]
    assert len(series) == 2 and single and volumes
    read_count = 0
    for files in (*series, *single, *volumes):
        scan = read(files)
        if scan is None:
            continue
        read_count += 1
        assert scan.sequence is not None, files[0].name
        measures, warnings = judged(engine, scan, files[0].name)
        assert measures.verdict is Verdict.NOT_ASSESSED, files[0].name
        assert warnings[-2:] == ("not_flair", "plainly_not_flair"), files[0].name
    assert read_count >= 11


@pytest.mark.parametrize("patient", ["TCGA-FG-6692", "TCGA-DU-7294"])
def test_flair_of_patients_is_read_and_their_t1_is_not(engine: Engine, real_data: Path, patient: str) -> None:
    for path in sorted((real_data / "volumes" / patient).glob("*.nii.gz")):
        if "fusion" in path.name:
            continue
        measures, warnings = judged(engine, read_scan(path, Limits()), path.name)
        is_flair = path.name.startswith("fla")
        assert measures.verdict is (Verdict.TUMOR_DETECTED if is_flair else Verdict.NOT_ASSESSED), path.name
        assert ("not_flair" in warnings) is not is_flair, path.name
