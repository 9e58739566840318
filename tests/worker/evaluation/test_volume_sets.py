"""The portal's evaluation of volumes has the figures of `python -m ml evaluate`, and pictures of their slices."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from ml.datasets import check
from ml.datasets.layouts.unknown import UnknownLayoutError
from tests.support import dicom_sets
from tests.support.evaluations import begin, case_rows, run_all
from tests.support.volume_sets import (
    flair,
    labels,
    write_apart,
    write_brats,
    write_decathlon,
    write_nnunet,
    write_volume,
)
from tests.worker.evaluation.test_chunks import read_report
from tests.worker.evaluation.test_left_out import evaluate  # noqa: F401 - a fixture
from webapp.domain.evaluations import images
from webapp.schemas.labels import PROBLEMS

CHANNELS = {"0": "T1", "1": "FLAIR", "2": "T1ce"}


@pytest.mark.parametrize("kind", ["brats", "apart", "nnunet", "decathlon", "dicom"])
def test_volumes_have_the_figures_of_the_command_line(runtime, resources, evaluate, kind, capsys):  # noqa: F811
    folder = resources.settings.evaluation_roots[0] / "set"
    if kind == "brats":
        for seed, name in enumerate(("P1", "P2")):
            write_brats(folder, name, seed=seed)
        write_volume(folder / "P2" / "P2-seg.nii.gz", np.roll(labels(), 1, axis=0))
        write_brats(folder, "P3", ends=("-t1n", "-seg"), seed=2)
    elif kind == "dicom":
        for seed, name in enumerate(("P1", "P2", "P3")):
            dicom_sets.write_series(folder / name, f"1.2.{seed}", seed=seed, PatientID=name)
        dicom_sets.write_seg(folder / "P1" / "seg.dcm", "1.2.0")
        dicom_sets.write_outlines(folder / "P2" / "plan" / "rt.dcm", "1.2.1")
        dicom_sets.write_seg(folder / "P3" / "seg.dcm", "1.2.2", FrameOfReferenceUID="1.2.3.4")
        dicom_sets.write_seg(folder / "P3" / "lost.dcm", "1.2.99")
    elif kind == "apart":
        write_apart(folder)
    elif kind == "decathlon":
        write_decathlon(folder, ("a", "b"), ("FLAIR", "T1w", "t1gd", "T2w"))
    else:
        write_nnunet(folder, ("a", "b"), {"channel_names": CHANNELS}, channels=3)
    expected = evaluate(folder)
    key = begin(resources, folder)
    done = run_all(runtime, key)
    assert {*done.findings["counts"], *done.findings["warning_counts"]} <= PROBLEMS.keys()
    report = json.loads(read_report(resources, key))
    same = ("headline", "patients", "aggregation")
    assert {name: report[name] for name in same} == {name: expected[name] for name in same}
    aside = {"model", "model_version", "engine", "slices_per_second", "threshold", "min_tumor_pixels"}
    assert {name: value for name, value in report["summary"].items() if name not in aside} == {
        name: value for name, value in expected["summary"].items() if name not in aside
    }
    assert report["summary"]["volumes"] == 2
    size = dicom_sets.SHAPE[:2] if kind == "dicom" else (40, 48)
    row = next(row for row in case_rows(resources, key) if row.metric("truth_pixels"))
    with resources.database.read() as session:
        wanted = images.source(resources, session, key, row.position, "scan")
    assert Image.open(io.BytesIO(images.render(resources, wanted, "scan"))).size == size


def test_masks_that_are_no_volumes_are_refused_by_check_and_portal_alike(runtime, resources):
    folder = resources.settings.evaluation_roots[0] / "set"
    write_volume(folder / "data" / "P1" / "P1_flair.nii.gz", flair())
    write_volume(folder / "truth" / "mask1.nii.gz", labels())
    done = run_all(runtime, begin(resources, folder))
    with pytest.raises(UnknownLayoutError) as raised:
        check(folder)
    assert done.error_code == "no_images" and done.error_message.endswith(raised.value.finding)
    assert "and no mask is a volume's" in raised.value.finding
