"""Masks in forms that are not read are named with what to make of them, in a folder and in its zip alike."""

import zipfile

import pytest

from ml.datasets import DatasetError, check
from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack
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
