"""Slices at the ends of real stacks that have no FLAIR: there is no verdict on them, and their stack keeps its own."""

from pathlib import Path

import numpy as np
import pytest

from ml.datasets import list_cases
from ml.engines import Engine, load_engine
from ml.measurements import Verdict, verdict_of
from tests.support import shipped_model

pytestmark = [pytest.mark.data, pytest.mark.long]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(shipped_model.FOLDER, "openvino")


def test_a_slice_without_flair_is_no_all_clear(engine: Engine, real_data: Path) -> None:
    (case,) = [case for case in list_cases(real_data / "lgg", ["TCGA_CS_5393_19990606"]) if case.name.endswith("_1")]
    found = engine.infer(case.pixels()[None])
    assert "flair_missing" in found.warnings
    assert verdict_of(has_tumor=False, has_doubt=False, warnings=found.warnings) is Verdict.NOT_ASSESSED


def test_a_tumor_marked_without_flair_is_no_finding(engine: Engine, real_data: Path) -> None:
    (case,) = [case for case in list_cases(real_data / "lgg", ["TCGA_CS_5393_19990606"]) if case.name.endswith("_9")]
    pixels = case.pixels()[None].copy()
    assert "flair_missing" not in engine.infer(pixels).warnings
    pixels[..., 1] = 0
    warnings = engine.infer(pixels).warnings
    assert "flair_missing" in warnings
    assert verdict_of(has_tumor=True, has_doubt=False, warnings=warnings) is Verdict.NOT_ASSESSED


def test_empty_ends_of_a_stack_are_told_and_leave_it_its_verdict(engine: Engine, real_data: Path) -> None:
    cases = list_cases(real_data / "lgg", ["TCGA_DU_A5TU_19980312"])
    found = engine.infer(np.stack([case.pixels() for case in cases]))
    assert "flair_missing" not in found.warnings
    told = [case.name for index, case in enumerate(cases) if found.input_warning_of(index, None) == "flair_missing"]
    assert {name.rpartition("_")[2] for name in told} == {"1", "22", "23"}
