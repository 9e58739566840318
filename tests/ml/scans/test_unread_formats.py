"""What is not read is refused by the name of its format, and by how to convert it: from its bytes, else its name."""

import gzip
import itertools
from pathlib import Path

import pytest

from ml.datasets import DatasetError, check
from ml.prediction.sources import find_sources
from ml.scans import Limits, ScanError, read_scan
from ml.scans.formats import find_format
from ml.scans.unread_formats import UNREAD_FORMATS, explained, unread_by_suffix
from tests.support.layouts import mask, pairs_beside

MGH = b"".join(number.to_bytes(4, "big") for number in (1, 256, 256, 192, 1, 3, 0)) + bytes(500)
BYTES = {
    ".heic": b"\0\0\0\x18ftypheic" + bytes(400),
    ".avif": b"\0\0\0\x1cftypavif" + bytes(400),
    ".bmp": b"BM\x36\0\x0c\0" + bytes(400),
    ".gif": b"GIF89a" + bytes(400),
    ".jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(400),
    ".psd": b"8BPS\0\1" + bytes(400),
    ".mha": b"ObjectType = Image\nNDims = 3\n" + bytes(400),
    ".nrrd": b"NRRD0004\ntype: short\n" + bytes(400),
    ".mgh": MGH,
    ".mgz": gzip.compress(MGH),
    ".par": b"# === DATA DESCRIPTION FILE ====\n" + bytes(400),
    ".hdr": b"\x5c\x01\0\0" + bytes(344),
    ".mat": b"MATLAB 5.0 MAT-file" + bytes(400),
    ".h5": b"\x89HDF\r\n\x1a\n" + bytes(400),
    ".npy": b"\x93NUMPY\1\0" + bytes(400),
    ".mp4": b"\0\0\0\x18ftypisom" + bytes(400),
    ".pdf": b"%PDF-1.7\n" + bytes(400),
    ".rar": b"Rar!\x1a\7\0" + bytes(400),
    ".tgz": gzip.compress(bytes(257) + b"ustar" + bytes(600)),
}


@pytest.mark.parametrize("suffix", BYTES)
def test_a_format_is_told_by_its_bytes_whatever_the_name_says(tmp_path, suffix):
    path = tmp_path / "scan.png"
    path.write_bytes(BYTES[suffix])
    with pytest.raises(ScanError) as refused:
        read_scan(path, Limits())
    assert (refused.value.code, refused.value.message) == ("unsupported", unread_by_suffix(suffix).sentence)


@pytest.mark.parametrize("entry", UNREAD_FORMATS, ids=lambda entry: entry.suffixes[0])
def test_each_has_a_name_a_remedy_and_a_line_in_the_documentation(entry):
    assert entry.sentence == f"The file is {entry.name}, which is not read here. {entry.remedy}."
    general = ScanError("unreadable", "The file is cut.")
    for suffix in entry.suffixes:
        assert unread_by_suffix(suffix) is entry
        assert explained(general, f"Scan{suffix.upper()}").message == entry.sentence
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
    assert f"| {', '.join(f'`{suffix}`' for suffix in entry.suffixes)} | {entry.remedy} |" in text


def test_what_is_read_and_what_its_bytes_tell_keep_their_own_words():
    general = ScanError("unreadable", "The file is cut.")
    assert explained(general, "scan.tif") is general
    told = ScanError("unsupported", unread_by_suffix(".heic").sentence)
    assert explained(told, "scan.mgz") is told
    for head in (b"\x89PNG\r\n\x1a\n", b"II*\0", bytes(128) + b"DICM"):
        assert find_format(head + bytes(400)) is not None
        assert not any(entry.is_match(head + bytes(400)) for entry in UNREAD_FORMATS)


def test_a_data_set_names_what_it_left_out_with_the_remedy(tmp_path):
    pairs_beside(tmp_path / "anna", "1", "2")
    (tmp_path / "anna" / "flair.mgz").write_bytes(BYTES[".mgz"])
    (group,) = check(tmp_path).left_out
    assert group.files == ("anna/flair.mgz",) and "mri_convert scan.mgz scan.nii.gz" in group.message


def _laid(folder, form, suffixes):
    """Images of these kinds, with masks that are read in two of the forms."""
    for suffix, name in itertools.product(suffixes, ("a", "b")):
        path = folder / {"pairs": "images", "beside": "P1", "volumes": "P1"}[form] / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        if form != "volumes":
            mask(folder / ("masks" if form == "pairs" else "P1") / f"{name}{'_mask' * (form == 'beside')}.png")


@pytest.mark.parametrize("form", ["pairs", "beside", "volumes"])
@pytest.mark.parametrize("entry", UNREAD_FORMATS, ids=lambda entry: entry.suffixes[0])
def test_a_set_of_such_images_is_refused_with_the_remedy_once(tmp_path, entry, form):
    _laid(tmp_path, form, entry.suffixes[:2])
    with pytest.raises(DatasetError) as refused:
        check(tmp_path)
    said = str(refused.value)
    assert said.count(f"{entry.name}. {entry.remedy}.") == 1
    assert ("Its pictures are masks" in said) == (form != "volumes")


@pytest.mark.parametrize("suffix", [".par", ".hdr", ".head", ".mhd", ".heic"])
def test_both_halves_of_a_pair_are_left_out_in_one_sentence(tmp_path, suffix):
    entry = unread_by_suffix(suffix)
    pairs_beside(tmp_path / "anna", "1", "2")
    _laid(tmp_path / "anna", "volumes", entry.suffixes[:2])
    (group,) = check(tmp_path).left_out
    first, second = sorted(entry.suffixes[:2])
    assert group.count == 4 and group.message.count(entry.remedy) == 1
    assert group.message.startswith(f"The kinds {first} and {second} ({entry.name}) are not read in a data set.")


@pytest.mark.parametrize("suffix", [".BRIK.gz", ".img.gz", ".hdr.gz", ".mnc.gz", ".mgh.gz"])
def test_a_volume_that_is_compressed_is_no_archive(tmp_path, suffix):
    """In its set, its set's zip, and in `predict`."""
    entry = unread_by_suffix(suffix.lower())
    for name in ("P1/flair+orig", "P2/flair+orig"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / f"{name}{suffix}").write_bytes(gzip.compress(b"voxels"))
    for refused in (check, lambda folder: find_sources([folder])):
        with pytest.raises(DatasetError) as caught:
            refused(tmp_path / "set")
        assert entry.remedy in str(caught.value) and "archive" not in str(caught.value)
    assert explained(ScanError("unreadable", "The file is cut."), f"a{suffix}").message == entry.sentence
