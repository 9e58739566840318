"""The real data sets are sound, with the counts that their READMEs state."""

import time

import pytest

from ml.datasets import check, make_split, read_patients

pytestmark = pytest.mark.data


def test_the_lgg_data(real_data, figure):
    started = time.perf_counter()
    report = check(real_data / "lgg")
    seconds = time.perf_counter() - started
    analysis = report.analysis
    assert report.problems == () and report.warnings == ()
    assert (analysis.slices, analysis.tumor_slices, analysis.patients) == (3093, 1110, 88)
    test_patients = read_patients(real_data / "lgg" / "test.txt")
    split = make_split(report.patients, report.data_sha256, shares=(88, 12, 0), excluded=test_patients)
    assert (len(split.train), len(split.validation), len(split.excluded)) == (66, 9, 13)
    figure(
        f"python -m ml check lgg: {seconds:.1f} s for {analysis.slices} slices; validation has"
        f" {split.counts['validation']['tumor_slice_share']:.1%} tumor slices, training"
        f" {split.counts['train']['tumor_slice_share']:.1%}"
    )


def test_the_coco_data(real_data):
    if not (real_data / "coco-brain").is_dir():
        pytest.skip(f"no COCO scans: {real_data} has no folder coco-brain")
    report = check(real_data / "coco-brain")
    assert report.problems == () and report.warnings == () and report.layout == "COCO"
    assert (report.analysis.slices, report.analysis.empty_masks) == (120, 12)
