"""The pictures of the plain way: a figure of four panels by matplotlib."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np


def save_panels(path: Path, pixels: np.ndarray, probability: np.ndarray, mask: np.ndarray) -> None:
    """Scan, mask, overlay and heatmap with a color bar. pixels: uint8 (H, W, 3); the others (H, W)."""
    overlay = pixels.copy()
    overlay[mask] = (255, 77, 106)
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4))
    for axis, title, panel in zip(
        axes, ("Scan", "Mask", "Overlay", "Probability"), (pixels, mask, overlay, probability), strict=True
    ):
        shown = axis.imshow(panel, cmap="inferno" if title == "Probability" else "gray", vmin=0, vmax=1)
        axis.set_title(title)
        axis.axis("off")
    figure.colorbar(shown, ax=axes[3])
    figure.savefig(path, dpi=100)
    plt.close(figure)
