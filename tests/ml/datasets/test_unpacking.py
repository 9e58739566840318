"""An archive is unpacked in a sandboxed process: what it takes is limited, and its errors are ours."""

import zipfile
from pathlib import Path

import pytest

from ml.datasets.archive import ArchiveError, ArchiveLimits
from ml.datasets.unpacking import unpack_archive

LIMITS = ArchiveLimits(members=10, member_bytes=10**6, bytes=10**7)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("anna/a.png", b"x" * 1000)
        file.writestr("anna/notes.txt", b"not a data set's file")
    return path


def test_images_are_unpacked_under_their_names(archive: Path, tmp_path: Path) -> None:
    assert unpack_archive(archive, tmp_path / "folder", LIMITS, timeout_s=30) == 1
    assert [path.name for path in (tmp_path / "folder").rglob("*") if path.is_file()] == ["a.png"]


def test_an_archive_that_takes_too_long_is_a_limit(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="takes longer than") as caught:
        unpack_archive(archive, tmp_path / "folder", LIMITS, timeout_s=1e-4)
    assert caught.value.code == "limit"


def test_a_folder_that_cannot_be_written_is_not_the_archives_fault(archive: Path, tmp_path: Path) -> None:
    long_name = tmp_path / "folder" / ("x" * 300)
    with pytest.raises(OSError, match="File name too long"):
        unpack_archive(archive, long_name, LIMITS, timeout_s=30)
