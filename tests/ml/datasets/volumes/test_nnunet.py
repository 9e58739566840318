"""nnU-Net's layout: its channels, its labels, and what dataset.json says of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.loading import load_case
from ml.datasets.volume_slices import volume_of
from ml.prediction.sources import find_sources
from ml.volumes.grid import VolumeGrid
from ml.volumes.nrrd_file import write_nrrd
from tests.support.volume_sets import (
    SHAPE,
    affine,
    codes,
    flair,
    labels,
    write_decathlon,
    write_nnunet,
    write_volume,
)

CHANNELS = {"channel_names": {"0": "FLAIR"}, "labels": {"background": 0, "tumor": 1}, "numTraining": 2}


def test_labels_of_nnunet_may_be_nrrd_and_scans_may_not(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B"), CHANNELS)
    for name in ("A", "B"):
        (tmp_path / "labelsTr" / f"{name}.nii.gz").unlink()
        write_nrrd(tmp_path / "labelsTr" / f"{name}.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    write_nrrd(tmp_path / "imagesTr" / "C_0000.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert report.analysis.patients == 2 and report.analysis.tumor_slices
    (left_out,) = report.left_out
    assert left_out.files == ("imagesTr/C_0000.nrrd",) and "NRRD volume" in left_out.message


@pytest.mark.parametrize("image", ["{}_0000.nii.gz", "{}.nii.gz"])
@pytest.mark.parametrize("mask", ["{}.seg.nrrd", "{}.SEG.NRRD"])
def test_segmentations_of_3d_slicer_are_labels_of_nnunet(tmp_path: Path, image: str, mask: str) -> None:
    write_nnunet(tmp_path, ("A", "BRATS_0001"), CHANNELS)
    for name in ("A", "BRATS_0001"):
        (tmp_path / "imagesTr" / f"{name}_0000.nii.gz").rename(tmp_path / "imagesTr" / image.format(name))
        (tmp_path / "labelsTr" / f"{name}.nii.gz").unlink()
        write_nrrd(tmp_path / "labelsTr" / mask.format(name), labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert (report.layout, report.problems, report.left_out) == ("nnU-Net", (), ())
    assert [patient.patient for patient in report.patients] == ["A", "BRATS_0001"] and report.analysis.tumor_slices


def test_a_volume_of_nnunet_may_be_called_as_a_segmentation_of_3d_slicer(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B.seg"), CHANNELS)
    (tmp_path / "labelsTr" / "B.seg.nii.gz").unlink()
    write_nrrd(tmp_path / "labelsTr" / "B.seg.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    report = check(tmp_path)
    assert (report.problems, report.left_out) == ((), ()) and report.analysis.patients == 2


def test_two_labels_of_one_volume_of_nnunet_are_refused_by_their_names(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("A", "B"), CHANNELS)
    write_nrrd(tmp_path / "labelsTr" / "A.seg.nrrd", labels(), VolumeGrid.of(affine(), SHAPE))
    assert set(codes(tmp_path)["doubled_mask"]) == {"labelsTr/A.nii.gz", "labelsTr/A.seg.nrrd"}


def test_nnunet_takes_the_channel_that_is_named_flair(tmp_path: Path) -> None:
    names = {"0": "T1w", "1": "T2-FLAIR", "2": "T1w post"}
    write_nnunet(tmp_path, ("a_1", "b"), {**CHANNELS, "channel_names": names}, channels=3)
    layout = find_layout(tmp_path)
    first = layout.cases[0]
    assert (layout.name, check(tmp_path).problems) == ("nnU-Net", ())
    assert first.patient == "a_1" and first.file_name == "a_1_0001.nii.gz/0000"
    assert [path.name for path in first.volume.channels] == ["a_1_0000.nii.gz", "a_1_0002.nii.gz"]


def test_nnunets_older_modality_and_its_test_side(tmp_path: Path) -> None:
    document = {"modality": {"0": "FLAIR"}, "labels": {"0": "background", "1": "tumor"}}
    write_nnunet(tmp_path, ("a",), document)
    write_nnunet(tmp_path, ("b",), document, side="Ts")
    assert find_layout(tmp_path).sides == {"train": ("a",), "validation": (), "test": ("b",)}


def test_names_without_a_number_are_the_only_channel(tmp_path: Path) -> None:
    for name in ("BRATS_0001", "BRATS_0002", "c"):
        write_volume(tmp_path / "imagesTr" / f"{name}.nii.gz", flair(seed=len(name)))
        write_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", labels())
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "FLAIR"}, "labels": {"0": "background"}}')
    layout = find_layout(tmp_path)
    assert layout.problems == () and {case.patient for case in layout.cases} == {"BRATS_0001", "BRATS_0002", "c"}
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {}}')
    (first, *_) = find_layout(tmp_path).problems
    assert first.code == "unreadable_image" and "holds 1 volume, and its set names 2 channels" in first.message


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("FLAIR", "T1w", "t1gd", "T2w"), (2, 1, 3)),  # Medical Segmentation Decathlon, Task01_BrainTumour
        (("T2w", "FLAIR"), (2,)),
    ],
)
def test_one_file_may_hold_all_channels_that_dataset_json_names(
    tmp_path: Path, names: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    write_decathlon(tmp_path / "4d", ("BRATS_001", "BRATS_002"), names)
    layout, report = find_layout(tmp_path / "4d"), check(tmp_path / "4d")
    assert (layout.name, report.problems, report.left_out) == ("nnU-Net", (), ())
    assert {warning.code for warning in report.warnings} == {"mask_shared"}  # of the drawn patients
    assert report.analysis.slices == 2 * SHAPE[2] and report.analysis.tumor_slices
    assert {case.volume.numbers for case in layout.cases} == {numbers}
    for place in range(len(names)):  # the same in a file for each
        for case in ("BRATS_001", "BRATS_002"):
            voxels = flair(seed=int(case[-1]) - 1) * (place + 1)
            write_volume(tmp_path / "3d" / "imagesTr" / f"{case}_{place:04}.nii.gz", voxels)
            write_volume(tmp_path / "3d" / "labelsTr" / f"{case}.nii.gz", labels())
    (tmp_path / "3d" / "dataset.json").write_bytes((tmp_path / "4d" / "dataset.json").read_bytes())
    for one, other in zip(layout.cases, find_layout(tmp_path / "3d").cases, strict=True):
        again = replace(one, volume=volume_of(one.volume.to_json()))
        np.testing.assert_array_equal(load_case(again).pixels, load_case(other).pixels)
        np.testing.assert_array_equal(load_case(again).truth, load_case(other).truth)
    sources, _ = find_sources([tmp_path / "4d"])
    assert [(source.path.name, source.numbers) for source in sources] == [
        ("BRATS_001.nii.gz", numbers),
        ("BRATS_002.nii.gz", numbers),
    ]


def test_a_file_of_more_volumes_than_channels_are_named_fails_its_patient(tmp_path: Path) -> None:
    write_decathlon(tmp_path, ("a", "b"), ("FLAIR", "T1w", "t1gd", "T2w"))
    write_volume(tmp_path / "imagesTr" / "b.nii.gz", np.stack([flair()] * 3, axis=-1))
    (found,) = check(tmp_path).problems
    assert found.code == "unreadable_image" and "holds 3 volumes, and its set names 4 channels" in found.message


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**CHANNELS, "channel_names": {"0": "T1", "1": "T2"}}, "none of them FLAIR"),
        ({**CHANNELS, "channel_names": {"0": "FLAIR", "1": "T2-FLAIR"}}, "2 of them FLAIR"),
        ({"labels": {}}, "no `channel_names`"),
        ([], "is no object"),
        ({**CHANNELS, "labels": {"tumor": 0, "background": 1}}, "0 is not the background"),
    ],
)
def test_a_dataset_json_that_cannot_say_what_flair_is(tmp_path: Path, document: object, words: str) -> None:
    write_nnunet(tmp_path, ("a", "b"), document)
    with pytest.raises(DatasetError, match=words):
        find_layout(tmp_path)


def test_a_dataset_json_that_lies_about_files(tmp_path: Path) -> None:
    write_nnunet(tmp_path, ("a", "b"), {**CHANNELS, "channel_names": {"1": "FLAIR"}, "numTraining": 9})
    found = codes(tmp_path)
    assert found["no_flair"] == ("imagesTr/b_0000.nii.gz",) or found["no_flair"] == ("imagesTr/a_0000.nii.gz",)
    assert "volume_count" in found
    assert any("9 training volumes and 2" in note for note in find_layout(tmp_path).notes)


@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ({"background": 0, "edema": 1, "resection cavity": 2}, "resection cavity"),
        ({"0": "background", "1": "brain", "2": "tumor"}, "brain"),
        ({"background": 0, "whole tumor": [1, 2], "enhancing tumor": [2], "ignore": 3}, "ignore"),
        ({"background": 0, "edema": 1, "enhancing tumor": 2}, ""),
        ({"0": "background", "1": "necrotic", "2": "edema"}, ""),
    ],
)
def test_labels_that_dataset_json_calls_no_tumor_are_refused(tmp_path, named, refused):
    """Every label above 0 is tumor: a cavity would be missed tumor in every figure."""
    write_nnunet(tmp_path, ("P1",), {"channel_names": {"0": "FLAIR"}, "labels": named, "numTraining": 1})
    if not refused:
        assert find_layout(tmp_path).has_truth
        return
    with pytest.raises(DatasetError, match=rf"labels that are no tumor \({refused}\).*export the labels again"):
        find_layout(tmp_path)
