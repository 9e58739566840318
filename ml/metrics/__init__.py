"""Figures of a segmentation, each with its formula's source: overlap, surfaces, verdicts, calibration, intervals.

Truth and prediction are bool arrays of one shape. A figure that is not defined is None, never 0 and never NaN: a
tumour-free slice has no Dice (Maier-Hein et al., "Metrics reloaded", Nature Methods 21, 2024, section on empty
references; nnU-Net does the same). NumPy and SciPy only, never torch; docs/evaluation.md has every rule in one place.
"""
