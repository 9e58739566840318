"""Figures of results in which there is nothing to draw."""

import re

import numpy as np

from ml.evaluation.summary import PatientFigures
from ml.metrics.calibration import calibrate, count_levels
from ml.plots.evaluation import patients_figure, reliability_figure
from ml.plots.svg import HEIGHT


def test_reliability_without_any_pixel_in_doubt_has_no_empty_line():
    levels = count_levels(np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=bool))
    assert 'points=""' not in reliability_figure(calibrate(levels, 13))


def test_words_about_a_curve_stand_outside_of_it():
    q = np.full((4, 4), 128, dtype=np.uint8)
    svg = reliability_figure(calibrate(count_levels(q, np.zeros((4, 4), dtype=bool)), 13))
    texts = re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    heights = [float(y) for y, words in texts if "ECE" in words]
    assert heights and all(y > HEIGHT - 52 for y in heights)


def test_the_first_and_the_last_patient_are_named_below_their_bars():
    def patients(count):
        return [PatientFigures(f"p{index}", 1, 1, 0, 1, 1, 0.5, *[None] * 7) for index in range(count)]

    for count, wanted in ((1, ["1"]), (5, ["1", "5"])):
        svg = patients_figure(patients(count))
        bars = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
        ticks = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="middle"[^>]*>(\d+)</text>', svg)
        assert [words for _, words in ticks] == wanted
        assert [float(x) for x, _ in ticks] == ([bars[0], bars[-1]] if count > 1 else bars)
