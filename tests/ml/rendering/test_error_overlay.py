"""Errors stay apart for readers to whom red and green are one color."""

from itertools import combinations

import numpy as np
import pytest

from ml.rendering.error_overlay import COLORS, HATCH_PIXELS, Palette, error_overlay_image

# What is seen without one kind of cones, on linear RGB: G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, A
# Physiologically-based Model for Simulation of Color Vision Deficiency, IEEE TVCG 15(6), 2009, severity 1.
SIGHTS = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "full": np.eye(3),
}
# CIE 1976 distance; 2.3 is just seen beside each other, 20 is told apart in small patches at a glance.
CLEARLY_APART = 25
SIDE = 48


def seen(rgb: np.ndarray, sight: str) -> np.ndarray:
    """CIE L*a*b* (D65) of an 8-bit sRGB color as such a reader sees it."""
    value = np.asarray(rgb) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / [0.9505, 1, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def drawn(palette: Palette) -> np.ndarray:
    """Missed at the left, correct in the middle, extra at the right, on a gray scan: uint8 (SIDE, SIDE, 3)."""
    truth, mask = np.zeros((2, SIDE, SIDE), bool)
    truth[:, : 2 * SIDE // 3], mask[:, SIDE // 3 :] = True, True
    return np.asarray(error_overlay_image(np.full((SIDE, SIDE, 3), 90, np.uint8), truth, mask, palette=palette))


def parts(palette: Palette) -> dict[str, np.ndarray]:
    """The inside of each kind, without its outline."""
    third = SIDE // 3
    kinds = ("missed", "correct", "extra")
    return {kind: drawn(palette)[2:-2, third * i + 2 : third * (i + 1) - 2] for i, kind in enumerate(kinds)}


def least_distance(palette: Palette, sight: str) -> float:
    """Of the fills of any two kinds."""
    fills = [np.median(part.reshape(-1, 3), axis=0) for part in parts(palette).values()]
    return min(float(np.linalg.norm(seen(a, sight) - seen(b, sight))) for a, b in combinations(fills, 2))


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_palette_for_the_color_blind_keeps_all_kinds_apart(sight: str) -> None:
    assert least_distance(Palette.COLOR_BLIND, sight) > CLEARLY_APART


def test_the_standard_palette_does_not_which_is_why_there_is_another() -> None:
    assert least_distance(Palette.STANDARD, "deuteranopia") < CLEARLY_APART / 2
    assert least_distance(Palette.STANDARD, "full") > CLEARLY_APART


def test_missed_and_extra_are_hatched_in_two_directions() -> None:
    found = parts(Palette.COLOR_BLIND)
    lines = {
        kind: (found[kind] == getattr(COLORS[Palette.COLOR_BLIND], kind)).all(axis=-1)
        for kind in ("missed", "correct", "extra")
    }
    assert not lines["correct"].any()
    for kind, step in (("missed", -1), ("extra", 1)):
        line = lines[kind]
        assert line.mean() == pytest.approx(1 / HATCH_PIXELS, abs=0.02)
        # A line goes one pixel down and one to its side, and never to the other.
        assert (line[:-1, 1:-1] == np.roll(line, -step, axis=1)[1:, 1:-1]).mean() == 1
