"""Plots: what they show, and that they show it where there is nothing to draw."""

import re

import numpy as np

from ml.metrics.calibration import calibrate, probability_histogram
from ml.metrics.overlap import Counts
from ml.plots.evaluation import (
    MOST_BARS,
    MOST_DOTS,
    SlicePoint,
    plot_patients,
    plot_reliability,
    plot_sizes,
    plot_verdicts,
)
from ml.plots.svg import HEIGHT, WIDTH


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


def test_verdicts_have_three_outcomes_and_those_in_doubt_are_no_all_clear():
    plot = plot_verdicts(Counts(true_positive=6, false_positive=1, false_negative=4, true_negative=9), 3, 2)
    assert plot.description == (
        "expert tumor, model tumor: 6; expert tumor, model uncertain: 3; expert tumor, model no tumor: 1;"
        " expert no tumor, model tumor: 1; expert no tumor, model uncertain: 2; expert no tumor, model no tumor: 7."
    )
    svg = plot.render()
    assert re.findall(r">([\d.]+ %)<", svg) == ["60.0 %", "30.0 %", "10.0 %", "10.0 %", "20.0 %", "70.0 %"]
    boxes = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert len(boxes) == 7 and all(float(x) + float(width) <= WIDTH for x, width in boxes)
    assert "nan" not in plot_verdicts(Counts(0, 0, 0, 0), 0, 0).render()


def test_many_slices_are_counted_in_squares_and_no_slice_is_left_out():
    def drawn(count):
        slices = [SlicePoint(f"s{n}.tif", 100 + n % 40 * 50, 0.5 + n % 7 * 0.05) for n in range(count)]
        return plot_sizes(slices).render()

    few, many = drawn(MOST_DOTS), drawn(20 * MOST_DOTS)
    assert few.count("<circle") == MOST_DOTS
    assert "<circle" not in many and len(many) < len(few) / 3
    tips = re.findall(r"<title>([\d,]+) slices?: ([\d,]+) to ([\d,]+) pixels, Dice [\d.]+ to [\d.]+</title>", many)
    assert sum(int(count.replace(",", "")) for count, _, _ in tips) == 20 * MOST_DOTS
    opacities = [float(value) for value in re.findall(r'fill-opacity="([\d.]+)"><title>', many)]
    assert len(opacities) == len(tips) and 0.25 <= min(opacities) <= max(opacities) == 1
    assert f"Dice of {20 * MOST_DOTS} slices" in many and "the darker a square" in many


def test_more_patients_than_pixels_are_one_line():
    few, many = (plot_patients({f"p{n}": n / 1000 for n in range(count)}).render() for count in (MOST_BARS, 1000))
    assert few.count("<circle") == MOST_BARS and "<circle" not in many
    (places,) = re.findall(r'<polyline points="([^"]*)"[^>]*stroke-width="2"', many)
    assert len(places.split()) == 1000
