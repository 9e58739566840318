"""What a slice that was cut from a volume says of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.rendering.png import encode_png
from ml.scans.cut_slices import CutSlice
from ml.scans.readers import pillow
from ml.scans.scan import Limits
from ml.scans.sequence import SequenceKind


@pytest.mark.parametrize(
    "cut", [CutSlice(), CutSlice(is_skull_stripped=True), CutSlice(True, SequenceKind.T1_POST)], ids=str
)
def test_a_picture_keeps_what_its_volume_said(tmp_path: Path, cut: CutSlice) -> None:
    image = Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    path = tmp_path / "slice.png"
    path.write_bytes(encode_png(image, cut.texts()))
    scan = pillow.read(path, Limits())
    assert ("skull_stripped" in scan.warnings, scan.sequence) == (cut.is_skull_stripped, cut.sequence)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(path.read_bytes()))), np.asarray(image))


def test_what_others_write_says_nothing() -> None:
    others = {"Glioscope skull": "", "Glioscope sequence": "t9", "Comment": "skull_stripped", "dpi": (72, 72)}
    assert CutSlice.of(others) == CutSlice.of({"Glioscope sequence": ["flair"]}) == CutSlice()
