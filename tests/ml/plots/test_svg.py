"""Plots of results in which there is nothing to draw."""

import re

import numpy as np

from ml.metrics.calibration import calibrate, probability_histogram
from ml.plots.evaluation import plot_patients, plot_reliability
from ml.plots.svg import HEIGHT


def test_reliability_without_any_pixel_of_the_foreground_has_no_empty_line():
    histogram = probability_histogram(np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=bool))
    assert 'points=""' not in plot_reliability(calibrate(histogram, 13)).render()


def test_words_about_a_curve_stand_outside_of_it():
    q = np.full((4, 4), 128, dtype=np.uint8)
    svg = plot_reliability(calibrate(probability_histogram(q, np.zeros((4, 4), dtype=bool)), 13)).render()
    texts = re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    heights = [float(y) for y, words in texts if "ECE" in words]
    assert heights and all(y > HEIGHT - 52 for y in heights)


def test_the_first_and_the_last_patient_are_named_below_their_bars():
    def patients(count):
        return {f"p{index}": 0.5 for index in range(count)}

    for count, wanted in ((1, ["1"]), (5, ["1", "5"])):
        svg = plot_patients(patients(count)).render()
        bars = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
        ticks = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="middle"[^>]*>(\d+)</text>', svg)
        assert [words for _, words in ticks] == wanted
        assert [float(x) for x, _ in ticks] == ([bars[0], bars[-1]] if count > 1 else bars)
