"""FLAIR alone, and T1, FLAIR and T1 with contrast read together: beside an expert, and beside other systems' answer."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from ml.datasets import list_cases
from ml.engines import Engine, load_engine
from ml.masks import apply_rule, rule_on_grid
from ml.scans import read_scan
from ml.scans.scan import Limits, Scan
from ml.skull import draw_rim
from ml.volumes.alignment import Alignment
from ml.volumes.axial import axial_view
from ml.volumes.planes import stack_affine
from tests.support import shipped_model
from tests.support.simpleitk_images import image

pytestmark = [pytest.mark.data, pytest.mark.long]

# Slices of shared/lgg are the middle 224 columns of that patient's T1, brought to 256 x 256 pixels.
_SIDE, _COLUMNS = 256, 224


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(shipped_model.FOLDER, "openvino")


def masks_of(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
    """The portal's masks of a stack."""
    maps = np.concatenate([engine.infer(pixels[k : k + 8]).probability_u8 for k in range(0, len(pixels), 8)])
    rule = rule_on_grid(engine.card, engine.card.threshold, *pixels.shape[1:3])
    return apply_rule(maps, rule, is_stack=True).tumor


def dice(one: NDArray[np.bool], other: NDArray[np.bool]) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def affine_of(scan: Scan) -> NDArray[np.float64]:
    assert scan.grid is not None
    return np.array(stack_affine(scan.grid, scan.pixels.shape[:3]))


def joined(flair: Scan, t1: Scan, post: Scan) -> NDArray[np.uint8]:
    """The channels on FLAIR's grid, as `webapp.domain.scans.joining` makes them."""
    pixels = flair.pixels.copy()
    for channel, part in ((0, t1), (2, post)):
        alignment = Alignment.of(affine_of(flair), affine_of(part), part.pixels.shape[:3])
        stack = np.ascontiguousarray(part.pixels[..., 0])
        for index in range(len(pixels)):
            pixels[index, ..., channel] = alignment.cut(stack, index, pixels.shape[1:3])[0]
    return pixels


def moved_onto(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> SimpleITK.Transform:
    """The rigid motion from one FLAIR to the other: the data set's authors registered theirs to T1."""
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 0])
    method.SetInterpolator(SimpleITK.sitkLinear)
    center = SimpleITK.Euler3DTransform(
        SimpleITK.CenteredTransformInitializer(
            fixed, moving, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.GEOMETRY
        )
    )
    center.SetTranslation((0.0, 0.0, 0.0))  # the headers' own places to begin with
    method.SetInitialTransform(center)
    return method.Execute(fixed, moving)


def test_flair_alone_and_with_its_t1_beside_the_expert(
    engine: Engine, real_data: Path, figure: Callable[[str], None]
) -> None:
    folder = real_data / "volumes" / "TCGA-FG-6692"
    flair, t1, post = (read_scan(folder / f"{name}.nii.gz", Limits()) for name in ("flair", "t1", "t1-post"))
    cases = [case for case in list_cases(real_data / "lgg") if "FG_6692" in case.patient]
    cases.sort(key=lambda case: int(case.image.stem.rpartition("_")[2]))
    pixels, truth = np.stack([case.pixels() for case in cases]), np.stack([case.truth() for case in cases])
    assert pixels.shape == (len(t1.pixels), _SIDE, _SIDE, 3)

    scale, first = _COLUMNS / _SIDE, (t1.pixels.shape[2] - _COLUMNS) / 2
    to_t1 = np.diag([1, scale, scale, 1.0])
    to_t1[1:3, 3] = (scale - 1) / 2, first + (scale - 1) / 2
    affine = affine_of(t1) @ to_t1
    fixed = image(flair.pixels[..., 1], affine_of(flair))
    motion = moved_onto(fixed, image(pixels[..., 1], affine))
    carried = SimpleITK.Resample(image(truth, affine), fixed, motion, SimpleITK.sitkLinear, 0.0)
    on_flair = SimpleITK.GetArrayFromImage(carried) >= 0.5
    again = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(image(pixels[..., 1], affine), fixed, motion, SimpleITK.sitkLinear, 0.0)
    )
    likeness = float(np.corrcoef(again.ravel(), flair.pixels[..., 1].ravel())[0, 1])

    together = joined(flair, t1, post)
    gray = np.repeat(pixels[..., 1:2], 3, axis=3)
    found = {
        "FLAIR volume": dice(masks_of(engine, flair.pixels), on_flair),
        "T1, FLAIR, T1 post volumes": dice(masks_of(engine, together), on_flair),
        "same slices as pictures, FLAIR": dice(masks_of(engine, gray), truth),
        "same slices as pictures, three channels": dice(masks_of(engine, pixels), truth),
    }
    shift = np.array(motion.TransformPoint(fixed.TransformContinuousIndexToPhysicalPoint((104, 128, 13)))) - np.array(
        fixed.TransformContinuousIndexToPhysicalPoint((104, 128, 13))
    )
    figure(
        f"TCGA-FG-6692, patient Dice: {', '.join(f'{name} {value:.3f}' for name, value in found.items())}; likeness"
        f" after registration {likeness:.3f}, motion at the middle {np.linalg.norm(shift):.1f} mm"
    )
    assert likeness > 0.85
    assert found["FLAIR volume"] > 0.7 and found["T1, FLAIR, T1 post volumes"] > 0.7


@pytest.mark.parametrize("patient", ["TCGA-FG-6692", "TCGA-DU-7294"])
def test_the_whole_tumor_beside_the_fusion_of_other_systems(
    engine: Engine, real_data: Path, patient: str, figure: Callable[[str], None]
) -> None:
    folder = real_data / "volumes" / patient
    [path] = folder.glob("fla*-atlas-skull-stripped.nii.gz")
    flair = read_scan(path, Limits())
    labels = np.asarray(nibabel.load(folder / "tumor-fusion-atlas.nii.gz").dataobj) > 0
    assert flair.grid is not None
    whole = axial_view(flair.grid, labels)
    assert "skull_stripped" in flair.warnings
    found = {
        "FLAIR without a rim": dice(masks_of(engine, flair.pixels), whole),
        "FLAIR": dice(masks_of(engine, draw_rim(flair.pixels)), whole),
    }
    if (folder / "t1-atlas-skull-stripped.nii.gz").exists():
        t1, post = (read_scan(folder / f"{name}-atlas-skull-stripped.nii.gz", Limits()) for name in ("t1", "t1c"))
        found["T1, FLAIR, T1 post"] = dice(masks_of(engine, draw_rim(joined(flair, t1, post))), whole)
    figure(f"{patient}, Dice with the fusion: {', '.join(f'{name} {value:.3f}' for name, value in found.items())}")
    without = found.pop("FLAIR without a rim")
    assert min(found.values()) > without + 0.2
