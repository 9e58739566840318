"""Pictures that are no slices of a head get no verdict, and heads of other scanners keep theirs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.datasets import list_cases
from ml.engines import Engine, load_engine
from ml.ood.background import BRIGHT_BACKGROUND
from ml.synthetic.negatives import draw_negatives
from tests.support import shipped_model

pytestmark = [pytest.mark.data, pytest.mark.long]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(shipped_model.FOLDER, "openvino")


def screens_and_photographs() -> Iterator[np.ndarray]:
    """Of the drawn pictures those with a bright background: charts, texts, landscapes, clouds."""
    kinds = {"chart", "text", "landscape", "clouds", "shapes"}
    return (drawn.pixels for drawn in draw_negatives(120, seed=4711) if drawn.kind in kinds)


def test_drawn_pictures_that_fill_their_frame_get_no_verdict(engine: Engine) -> None:
    found = [BRIGHT_BACKGROUND in engine.infer(pixels[None]).warnings for pixels in screens_and_photographs()]
    print(f"{sum(found)} of {len(found)} pictures without a verdict")
    assert len(found) >= 40
    assert np.mean(found) >= 0.8


def test_the_same_pictures_in_a_black_frame_get_none_either(engine: Engine) -> None:
    framed = (np.pad(pixels, ((60, 60), (60, 60), (0, 0))) for pixels in screens_and_photographs())
    found = [BRIGHT_BACKGROUND in engine.infer(pixels[None]).warnings for pixels in framed]
    print(f"{sum(found)} of {len(found)} framed pictures without a verdict")
    assert np.mean(found) >= 0.6


def test_slices_of_the_models_own_data_keep_their_verdict(engine: Engine, real_data: Path) -> None:
    patients = ["TCGA_CS_4941_19960909", "TCGA_CS_4942_19970222", "TCGA_CS_5393_19990606"]
    cases = list_cases(real_data / "lgg", patients)
    found = [engine.infer(case.pixels()[None]).warnings for case in cases]
    assert len(found) >= 60
    assert not any(BRIGHT_BACKGROUND in codes for codes in found)


def test_heads_of_other_scanners_keep_their_verdict(engine: Engine, real_data: Path) -> None:
    files = sorted((real_data / "coco-brain" / "train").glob("*.jpg"))[::4]
    found = [engine.infer(np.asarray(Image.open(file).convert("RGB"))[None]).warnings for file in files]
    assert len(found) == 30
    assert sum(BRIGHT_BACKGROUND in codes for codes in found) <= 1
