"""An archive is unpacked in a sandboxed process: what it takes is limited, and its errors are ours."""

import struct
import zipfile
import zlib
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
    assert [path.name for path in (tmp_path / "folder").rglob("*") if path.is_file() and path.stat().st_size] == [
        "a.png"
    ]


def test_an_archive_that_takes_too_long_is_a_limit(tmp_path: Path) -> None:
    """Of tens of milliseconds: a timer of processor time goes off with the kernel's clock, up to 10 ms late."""
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("anna/a.png", bytes(60 * 10**6))
    limits = ArchiveLimits(members=10, member_bytes=10**8, bytes=10**8)
    with pytest.raises(ArchiveError, match="takes longer than") as caught:
        unpack_archive(tmp_path / "large.zip", tmp_path / "folder", limits, timeout_s=1e-4)
    assert caught.value.code == "limit"


def test_a_folder_that_cannot_be_written_is_not_the_archives_fault(archive: Path, tmp_path: Path) -> None:
    long_name = tmp_path / "folder" / ("x" * 300)
    with pytest.raises(OSError, match="File name too long"):
        unpack_archive(archive, long_name, LIMITS, timeout_s=30)


def test_backslashes_are_separators(tmp_path: Path) -> None:
    """As .NET wrote zips for years."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("set\\", b"")
        file.writestr("set\\anna\\a.png", b"x")
    assert unpack_archive(path, tmp_path / "folder", LIMITS, timeout_s=30) == 1
    assert (tmp_path / "folder" / "set" / "anna" / "a.png").read_bytes() == b"x"


def test_members_may_begin_with_the_folder_itself(tmp_path: Path) -> None:
    """As bsdtar, the `tar` of Windows and macOS, writes zips."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (("./", b""), ("./anna/", b""), ("./anna/a.png", b"x"), ("./anna/./b.png", b"x")):
            file.writestr(name, data)
    assert unpack_archive(path, tmp_path / "folder", LIMITS, timeout_s=30) == 2
    assert {found.name for found in (tmp_path / "folder" / "anna").iterdir()} == {"a.png", "b.png"}


def test_images_of_kinds_that_are_not_read_leave_their_names_alone(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("anna/volume.mha", b"\x1f\x8b" + b"x" * 2_000_000)
        file.writestr("anna/series.dcm", b"DICM")
    assert unpack_archive(archive, tmp_path / "folder", LIMITS, timeout_s=30) == 1
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "folder" / "anna").iterdir()}
    assert sizes == {"a.png": 1000, "volume.mha": 0, "series.dcm": 0, "notes.txt": 0}


def test_volumes_and_what_describes_them_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "volumes.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii", "dataset.json", "notes.txt"):
            file.writestr(name, b"x")
    assert unpack_archive(path, tmp_path / "folder", LIMITS, timeout_s=30) == 3
    sizes = {found.name: found.stat().st_size for found in (tmp_path / "folder").rglob("*.*")}
    assert sizes == {"a_0000.nii.gz": 1, "a.nii": 1, "dataset.json": 1, "notes.txt": 0}


def test_of_an_archive_without_images_it_is_said_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "volumes.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("a.mha", "b.mha", "c.dcm"):
            file.writestr(name, b"x")
    with pytest.raises(ArchiveError, match=r"no images .* but 2 \.mha, 1 \.dcm") as caught:
        unpack_archive(path, tmp_path / "folder", LIMITS, timeout_s=30)
    assert caught.value.code == "empty"


@pytest.mark.parametrize(("number", "name"), [(9, "Deflate64"), (98, "PPMd"), (97, "number 97")])
def test_an_archive_of_another_compression_says_which_and_what_to_do(tmp_path: Path, number: int, name: str) -> None:
    """Explorer packs large files by Deflate64, and offers no other: it was told to zip "without"."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", b"x" * 100)
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # APPNOTE 4.3.7 and 4.3.12
        start = data.index(signature) + place
        data[start : start + 2] = number.to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=rf"{name}.* is not read here; .* Deflate \(in 7-Zip") as caught:
        unpack_archive(path, tmp_path / "folder", LIMITS, timeout_s=30)
    assert caught.value.code == "unsupported"


class _Unsaid(zipfile.ZipInfo):
    """A member whose name has no flag of UTF-8, as Windows' Explorer writes it."""

    __slots__ = ("raw",)

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's
        return self.raw, 0


def zip_unsaid(path: Path, names: list[str], page: str, *, has_field: bool = False) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for number, name in enumerate(names):
            member = _Unsaid(f"{number}")
            member.raw = name.encode(page, "replace")
            if has_field:  # Info-ZIP's
                field = struct.pack("<BL", 1, zlib.crc32(member.raw)) + name.encode()
                member.extra = struct.pack("<HH", 0x7075, len(field)) + field
            file.writestr(member, b"x")


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("gbk", ["数据集/原图/001.png", "数据集/标签/001.png"]),
        ("gbk", ["病人（1）/原图/1.png"]),
        ("cp866", ["Пациент 1/снимок_01.png", "Пациент 1/МАСКИ/снимок_01.png"]),
        ("cp932", ["患者1/スライス/1.png", "患者1/マスク/ソ.png"]),
        ("cp437", ["Größe/Müller.png"]),
        ("cp850", ["Köpfe/Läsion.png", "tête/lésion.png"]),
    ],
)
def test_names_of_windows_own_letters_are_told_by_their_bytes(tmp_path: Path, page: str, names: list[str]) -> None:
    """They were shown as code page 437 has them (`\u2569\xb2`), in the sentence that says what to call them, too."""
    zip_unsaid(tmp_path / "set.zip", names, page)
    (tmp_path / "folder").mkdir()
    assert unpack_archive(tmp_path / "set.zip", tmp_path / "folder", LIMITS, timeout_s=30) == len(names)
    assert all((tmp_path / "folder" / name).is_file() for name in names)


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("cp949", "영상/1.png"),  # Korean, which may be Chinese by its bytes
        ("gbk", "病人/1.png"),
        ("cp862", "\u05de\u05d5\u05d7/1.png"),
    ],
)
def test_names_that_may_be_of_several_letters_stay_as_the_standard_has_them(
    tmp_path: Path, page: str, name: str
) -> None:
    zip_unsaid(tmp_path / "set.zip", [name], page)
    (tmp_path / "folder").mkdir()
    unpack_archive(tmp_path / "set.zip", tmp_path / "folder", LIMITS, timeout_s=30)
    assert (tmp_path / "folder" / name.encode(page).decode("cp437")).is_file()


def test_a_name_in_unicode_beside_a_members_own_is_taken(tmp_path: Path) -> None:
    zip_unsaid(tmp_path / "set.zip", ["영상/1.png"], "ascii", has_field=True)
    (tmp_path / "folder").mkdir()
    unpack_archive(tmp_path / "set.zip", tmp_path / "folder", LIMITS, timeout_s=30)
    assert (tmp_path / "folder" / "영상" / "1.png").is_file()
