"""The slices that are sent: real ones where GLIOSCOPE_TEST_DATA has them, else the synthetic samples."""

import os
from pathlib import Path

from ml.synthetic.phantoms import PHANTOMS, render
from tests.conftest import DEFAULT_DATA

DATA = Path(os.environ.get("GLIOSCOPE_TEST_DATA", DEFAULT_DATA))
CHECKPOINT = DATA / "bootstrap" / "unet_vgg16_lgg.pth"


def slices(count: int) -> list[tuple[str, bytes]]:
    """Names and bytes of so many files of one slice, spread over all patients."""
    paths = [path for path in sorted((DATA / "lgg").glob("*/*.webp")) if not path.stem.endswith("_mask")]
    if paths:
        chosen = [paths[number * len(paths) // count] for number in range(count)]
        return [(path.name, path.read_bytes()) for path in chosen]
    rendered = [render(phantom.name) for phantom in PHANTOMS]
    pictures = [data for data in rendered if data.startswith(b"\x89PNG")]
    return [(f"phantom_{number}.png", pictures[number % len(pictures)]) for number in range(count)]
