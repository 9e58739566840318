"""Masks in forms that are not read are named with what to make of them, in a folder and in its zip alike."""

import zipfile

import pytest

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack
from ml.prediction.sources import find_sources
from tests.support.layouts import image, mask

LIMITS = ArchiveLimits(100, 10**6, 10**6)


def said_of(folder):
    with pytest.raises(DatasetError) as refused:
        check(folder)
    return str(refused.value)


def zipped(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(folder))
    out = tmp_path / "out"
    out.mkdir()
    unpack(tmp_path / "set.zip", out, LIMITS)
    return out


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("project-1-at-2024-05-01-10-11-abcdef01.json", "[]", "Annotations of a name or a kind that is not read"),
        ("project-1-at-2024.json-min.json", "[]", "Annotations of a name or a kind that is not read"),
        ("annotations/a.geojson", "{}", "Annotations of a name or a kind that is not read"),
        ("images/a.geojson", "{}", "Annotations of a name or a kind that is not read"),
        ("masks/a.svg", "<svg/>", "The kind .svg (an SVG drawing) is not read in a data set. Export it as PNG"),
    ],
)
def test_a_truth_in_another_form_is_named_where_no_image_has_a_mask(tmp_path, name, text, sentence):
    folder = tmp_path / "set"
    image(folder / "images" / "a.png")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    said = said_of(folder)
    assert f"{name}: {sentence}" in said
    assert said_of(zipped(folder, tmp_path)).partition("and not one mask")[2] == said.partition("and not one mask")[2]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.roi", "Edit > Selection > Create Mask"),
        ("a.voi", "It is a mask as NIfTI under another name"),
        ("a.nii.gz", "save it as PNG of the picture's width and height"),  # ITK-SNAP's of a picture
        ("a_seg.nrrd", "save it as PNG of the picture's width and height"),
    ],
)
def test_what_was_drawn_on_an_image_is_a_mask_that_is_not_read(tmp_path, name, remedy):
    """Nothing named it, and the portal said that there were no masks."""
    folder = tmp_path / "set"
    image(folder / "anna" / "a.png")
    (folder / "anna" / name).write_bytes(b"Iout")
    for place in (folder, zipped(folder, tmp_path)):
        with pytest.raises(DatasetError, match=remedy):
            find_layout(place)
    (source,), (left_out,) = find_sources([folder])
    assert source.path.name == "a.png" and left_out.files == (f"anna/{name}",)


@pytest.mark.parametrize("name", ["train.csv", "lists/train_rle.csv", "metadata.jsonl", "list.tsv", "export.ndjson"])
@pytest.mark.parametrize("place", ["images", "train_images"])
def test_masks_that_a_table_may_list_are_said_not_to_be_read(tmp_path, name, place):
    folder = tmp_path / "set"
    image(folder / place / "a.png")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("ImageId,EncodedPixels\na.png,1 3\n")
    suffix = (folder / name).suffix
    for said in (said_of(folder), said_of(zipped(folder, tmp_path))):
        assert f"Masks that are listed in a {suffix} are not read: save each as a picture, called as its image" in said


def test_a_parquet_file_is_refused_with_how_to_save_its_pictures_and_so_is_its_zip(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    remedy = "a table of Hugging Face (Parquet or Arrow). Save its pictures as PNG"
    assert remedy in said_of(tmp_path)
    with pytest.raises(ArchiveError) as refused:
        zipped(tmp_path / "data", tmp_path)
    assert "but 1 .parquet" in refused.value.message and remedy in refused.value.message


def test_masks_of_single_objects_beside_one_image_are_to_be_joined(tmp_path):
    for patient in ("anna", "ben"):
        image(tmp_path / patient / "images" / f"{patient}.png")
        for name in ("0f3a", "1b2c"):
            mask(tmp_path / patient / "masks" / f"{name}.png")
    assert "Several masks are one image's: join them into one mask" in said_of(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks"),
    [("X", "Y"), ("images/training", "annotations/training"), ("images", "annotations/trimaps"), ("inputs", "targets")],
)
def test_two_folders_with_pictures_of_the_same_names_may_be_images_and_masks(tmp_path, images, masks):
    for name in ("1", "2"):
        image(tmp_path / images / f"{name}.jpg")
        mask(tmp_path / masks / f"{name}.png")
    first, second = images.partition("/")[0], masks.partition("/")[0]
    said = said_of(tmp_path)
    remedy = f"call {second} `masks`" if first == "images" else f"call {first} `images` and {second} `masks`"
    assert f" and those of {second} have a few values alone, as masks have: {remedy}." in said
    image(tmp_path / images / "3.jpg")
    assert "of the same names" not in said_of(tmp_path)


@pytest.mark.parametrize("ending", ["_маска", "掩膜", "_a", " (tumour area)"])
def test_masks_beside_their_images_by_an_unknown_ending_are_told_by_their_pixels(tmp_path, ending):
    """They were scans, in the portal, too; `scan_1` begins `scan_11`, and is not its image."""
    for patient in ("anna", "ben"):
        for number in (1, 11):
            image(tmp_path / patient / f"scan_{number}.png")
            mask(tmp_path / patient / f"scan_{number}{ending}.png")
    assert f"4 pictures are called as others with `{ending}` behind it" in said_of(tmp_path)
    sources, (left_out,) = find_sources([tmp_path])
    assert {source.name for source in sources} == {
        f"{one}/scan_{number}" for one in ("anna", "ben") for number in (1, 11)
    }
    assert (left_out.code, left_out.count) == ("expert_mask", 4) and "by their pixels" in left_out.message


def test_pictures_with_a_longer_name_are_no_masks_if_they_look_like_scans(tmp_path):
    for number in (1, 2):
        for ending in ("", "_2", "_t1"):
            image(tmp_path / "anna" / f"IM_{number}{ending}.png")
    assert "behind it" not in said_of(tmp_path)
    assert len(find_sources([tmp_path])[0]) == 6
