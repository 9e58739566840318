"""Archives in a data set's folder may hold a part of it: they are named as left out, and never looked into."""

import zipfile

import pytest

from ml.datasets import DatasetError, check
from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack
from ml.prediction.sources import find_sources
from tests.support.layouts import image, pairs_beside


@pytest.mark.parametrize("name", ["P2.zip", "masks.7z", "P2.tar.gz", "rest.rar"])
def test_an_archive_beside_patients_is_left_out_by_name(tmp_path, name):
    pairs_beside(tmp_path / "anna", "1", "2")
    (tmp_path / name).write_bytes(b"PK")
    (group,) = check(tmp_path).left_out
    assert group.files == (name,) and "An archive, which is not looked into: unpack it" in group.message
    assert name in [one for group in find_sources([tmp_path])[1] for one in group.files]


def test_masks_in_an_archive_are_named_where_no_image_has_one(tmp_path):
    image(tmp_path / "images" / "a.png")
    (tmp_path / "masks.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"not one mask.* masks\.zip: An archive, which is not looked into"):
        check(tmp_path)


def test_a_folder_of_archives_alone_says_what_to_do(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"\.zip: an archive, which is not looked into\. Unpack it\."):
        check(tmp_path)
    with pytest.raises(DatasetError, match=r"set\.zip: An archive, which is not looked into"):
        find_sources([tmp_path])


def test_a_zip_keeps_the_names_of_archives_that_the_page_sent_without_bytes(tmp_path):
    pairs_beside(tmp_path / "anna", "1", "2")
    for number, content in enumerate((b"", b"PK")):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
            for path in sorted((tmp_path / "anna").iterdir()):
                file.write(path, f"anna/{path.name}")
            file.writestr("anna/more.zip", content)
        out = tmp_path / f"out{number}"
        out.mkdir()
        if content:
            with pytest.raises(ArchiveError, match="archives in it"):
                unpack(tmp_path / "set.zip", out, ArchiveLimits(100, 10**6, 10**6))
        else:
            unpack(tmp_path / "set.zip", out, ArchiveLimits(100, 10**6, 10**6))
            assert [group.files for group in check(out).left_out] == [("anna/more.zip",)]


def test_predict_says_that_scans_beside_pictures_are_read_where_they_are_given_themselves(tmp_path):
    for name in ("a/1.dcm", "b/case.nii.gz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    pairs_beside(tmp_path / "c", "1")
    _, left_out = find_sources([tmp_path])
    assert any("read where it is given by itself (`python -m ml predict FILE`)" in one.message for one in left_out)
    sources, left_out = find_sources([tmp_path / "a" / "1.dcm", tmp_path / "b" / "case.nii.gz"])
    assert len(sources) == 2 and not left_out
