"""/api/v1/evaluations of a zip: evaluated like its folder; a hostile one is refused and leaves nothing."""

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from ml.datasets import DatasetError, check, find_layout
from ml.evaluation.cases import in_reading_order
from tests.support.evaluations import begin, case_rows, run_all, write_data_set, zip_of
from tests.support.layouts import image, mask, pairs_beside
from tests.webapp.clients import resources_of
from tests.webapp.evaluation_calls import PATH, left_over, send_zip
from webapp.domain.evaluations.sources import wrapper_in
from webapp.domain.resources import Resources
from webapp.domain.uploads import archives
from worker.process.runtime import Runtime


@pytest.mark.parametrize("prefix", ["", "wrapper/", "a/b/"])
def test_a_zip_is_evaluated_like_its_folder(client: FlaskClient, runtime: Runtime, tmp_path: Path, prefix: str) -> None:
    data = write_data_set(tmp_path / "set")
    evaluation = send_zip(client, zip_of(data, prefix), "../../my set.zip", threshold="0.5").json
    assert (evaluation["source"], evaluation["filename"], evaluation["name"]) == ("archive", "my set.zip", "my set")
    done = run_all(runtime, evaluation["id"])
    assert done.headline.startswith("Patient Dice 0.") and done.case_count == 15
    assert client.get(f"{PATH}/{evaluation['id']}/cases/0/errors.png").status_code == 200


@pytest.mark.parametrize("prefix", [None, "", "set/"])
def test_masks_called_as_their_images_are_never_scans(
    client: FlaskClient, runtime: Runtime, resources: Resources, prefix: str | None
) -> None:
    """An evaluation needs no masks, and those of `X` in `Y` are none of its scans: `check` says what to call both."""
    folder = resources.settings.evaluation_roots[0] / "set"
    for stem in ("1", "2", "3"):
        image(folder / "X" / f"{stem}.png")
        mask(folder / "Y" / f"{stem}.png")
    with pytest.raises(DatasetError) as refused:
        check(folder)
    own = begin(resources, folder) if prefix is None else send_zip(client, zip_of(folder, prefix)).json["id"]
    done = run_all(runtime, own)
    sentence = "call X `images` and Y `masks`."
    assert sentence in str(refused.value)
    assert done.error_code == "no_images" and not case_rows(resources, own)
    assert sentence in done.error_message.replace("set/", "")


def flat_pairs(folder: Path) -> None:
    for stem in ("1", "2", "3"):
        image(folder / f"{stem}.jpg")
        mask(folder / f"{stem}.png")


def one_patient(folder: Path) -> None:
    pairs_beside(folder, "1", "2", "3")


def one_barcode(folder: Path) -> None:
    pairs_beside(folder, "TCGA_DU_6404_19850629_1", "TCGA_DU_6404_19850629_2")


def two_patients(folder: Path) -> None:
    pairs_beside(folder / "anna", "1", "2")
    pairs_beside(folder / "ben", "1")


def around_one(folder: Path) -> None:
    pairs_beside(folder / "anna", "1", "2")


@pytest.mark.parametrize("make", [flat_pairs, one_patient, one_barcode, two_patients, around_one])
def test_the_folder_that_a_zip_wraps_is_no_patient_where_it_is_none_by_itself(
    client: FlaskClient, runtime: Runtime, resources: Resources, make: Callable[[Path], None]
) -> None:
    """The page packs a chosen folder under its own name; patients are those that `check` counts in that folder."""
    folder = resources.settings.evaluation_roots[0] / "set"
    make(folder)
    direct = run_all(runtime, begin(resources, folder))
    packed = run_all(runtime, send_zip(client, zip_of(folder, "set/")).json["id"])
    expected = [case.patient for case in in_reading_order(find_layout(folder).cases)]
    for done in (direct, packed):
        assert [row.patient for row in case_rows(resources, done.id)] == expected
    assert packed.headline == direct.headline and packed.summary["caveats"] == direct.summary["caveats"]
    assert packed.findings["data_sha256"] == direct.findings["data_sha256"] == check(folder).data_sha256
    answer = client.get(f"{PATH}/{packed.id}/cases/0/errors.png")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("loose", "wrapper"),
    [
        (["README.txt", "LICENSE", "dataset.json", "train.csv", "notes.md"], "set"),
        (["thumbnail.png"], None),  # said to be left out
        (["P1.nii.gz"], None),
        (["_annotations.coco.json"], None),  # the folder may hold its images
        (["result.json"], None),
        (["rest.zip"], None),
        (["IM0"], None),
        (["more/1.png"], None),
    ],
)
def test_what_lies_beside_the_folder_in_a_zip_and_is_no_data_makes_no_difference(
    tmp_path: Path, loose: list[str], wrapper: str | None
) -> None:
    (tmp_path / "set").mkdir()
    for name in loose:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert wrapper_in(tmp_path) == wrapper


def test_a_zip_with_a_text_beside_its_folder_is_counted_as_without(
    client: FlaskClient, runtime: Runtime, resources: Resources, tmp_path: Path
) -> None:
    flat_pairs(tmp_path / "sent" / "set")
    (tmp_path / "sent" / "README.txt").write_text("words")
    done = run_all(runtime, send_zip(client, zip_of(tmp_path / "sent")).json["id"])
    assert [row.patient for row in case_rows(resources, done.id)] == ["1", "2", "3"]


def test_a_wrapped_folder_without_masks_is_one_patient(client: FlaskClient, runtime: Runtime, tmp_path: Path) -> None:
    """Whose slices are looked at together; no command counts its patients."""
    for stem in ("1", "2"):
        image(tmp_path / "set" / f"{stem}.png")
    done = run_all(runtime, send_zip(client, zip_of(tmp_path / "set", "set/")).json["id"])
    assert {row.patient for row in case_rows(runtime.resources, done.id)} == {"set"}


def test_other_members_of_a_zip_are_left_out(client: FlaskClient, runtime: Runtime, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "set", patients=1)
    (data / "README.txt").write_text("words")
    (data / "patient_0" / ".DS_Store").write_bytes(b"x")
    (data / "__MACOSX").mkdir()
    (data / "__MACOSX" / "._p0_000.png").write_bytes(b"x")
    (data / "patient_0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no")
    evaluation = send_zip(client, zip_of(data)).json
    done = run_all(runtime, evaluation["id"])
    assert done.status == "succeeded" and done.findings["counts"] == {"missing_mask": 1, "unreadable_image": 1}
    folder = runtime.resources.folders.path(evaluation["id"])
    unpacked = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in unpacked} == {".png", ".txt"}
    assert [path.stat().st_size for path in unpacked if path.suffix == ".txt"] == [0], "its name alone, to be told"


def zip_with(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def link_member() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("p/link.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def forged_size() -> bytes:
    """A member of 200 MB whose headers say 10 bytes."""
    data = zip_with(("p/a.png", b"\0" * 200_000_000))
    real = (200_000_000).to_bytes(4, "little")
    assert data.count(real) == 2
    return data.replace(real, (10).to_bytes(4, "little"))


def encrypted() -> bytes:
    """A member whose flags say that it is encrypted."""
    data = bytearray(zip_with(("p/a.png", png())))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def many_members() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for index in range(100_000):
            file.writestr(zipfile.ZipInfo(f"p/{index}.png"), b"")
    return buffer.getvalue()


HOSTILE = {
    "parent": (lambda: zip_with(("../x.png", png())), 422, "unsafe"),
    "deep parent": (lambda: zip_with(("p/a.png", png()), ("p/../../x.png", png())), 422, "unsafe"),
    "absolute": (lambda: zip_with(("/x.png", png())), 422, "unsafe"),
    "windows": (lambda: zip_with(("C:\\x.png", png())), 422, "unsafe"),
    "backslash": (lambda: zip_with(("..\\x.png", png())), 422, "unsafe"),
    "control": (lambda: zip_with((".\x1b./x.png", png())), 422, "unsafe"),
    "link": (lambda: zip_with((link_member(), b"/etc/passwd")), 422, "unsafe"),
    "doubled": (lambda: zip_with(("p/a.png", png()), ("p/a.pnG", png()), ("p/b.png", png())), 202, None),
    "bomb": (lambda: zip_with(*((f"p/{i}.png", b"\0" * 50_000_000) for i in range(20))), 422, "limit"),
    "large member": (lambda: zip_with(("p/a.png", b"\0" * 101_000_000)), 422, "limit"),
    "forged sizes": (forged_size, 422, None),
    "encrypted": (encrypted, 422, "unreadable"),
    "nested": (lambda: zip_with(("p/a.png", png()), ("p/more.zip", zip_with(("x", b"")))), 422, "unreadable"),
    "cut": (lambda: zip_with(("p/a.png", png() * 200), method=zipfile.ZIP_STORED)[:-200], 422, "unreadable"),
    "cut short": (lambda: zip_with(("p/a.png", png()))[:40], 422, "unreadable"),
    "no zip": (lambda: b"%PDF-1.7 nothing", 415, "unsupported"),
    "nothing in it": (lambda: zip_with(("readme.txt", b"x")), 422, "empty"),
    "no bytes": (lambda: b"", 422, "empty"),
    "members": (many_members, 422, "limit"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_leaves_nothing(client: FlaskClient, resources: Resources, name: str) -> None:
    make, status, code = HOSTILE[name]
    response = send_zip(client, make())
    assert response.status_code == status, response.json
    if status == 202:
        return
    assert code is None or response.json["code"] == code
    assert response.json["code"] in ("unsafe", "limit", "unreadable", "unsupported", "empty")
    assert left_over(resources) == [] and client.get(PATH).json["evaluations"] == []
    assert not list(resources.settings.instance_dir.parent.rglob("x.png"))


def test_bytes_are_counted_and_not_believed(client: FlaskClient, resources: Resources) -> None:
    data = forged_size()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert [member.file_size for member in file.infolist()] == [10], "by its headers it is below every limit"
    response = send_zip(client, data)
    assert (response.status_code, response.json["code"]) == (422, "unreadable")
    assert left_over(resources) == []


def test_an_archive_has_a_size_limit_of_its_own(make_app: Callable[..., Flask]) -> None:
    client = make_app(GLIOSCOPE_MAX_UPLOAD_MB="1", GLIOSCOPE_MAX_ARCHIVE_MB="6").test_client()
    padding = b"".join(np.random.default_rng(1).bytes(1_000_000) for _ in range(5))
    taken = send_zip(client, zip_with(("p/a.png", png()), ("p/notes.txt", padding[:900_000])) + b"")
    assert taken.status_code == 202, taken.json
    members = ((f"p/{i}.png", padding[i * 900_000 : (i + 1) * 900_000]) for i in range(5))
    assert send_zip(client, zip_with(*members)).status_code == 202
    assert send_zip(client, b"PK\x03\x04" + padding + padding).status_code == 413


def test_a_zip_that_unpacks_to_more_than_there_is_room_for_is_507(
    app: Flask, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "RESERVE_BYTES", 10**18)
    response = send_zip(client, zip_of(write_data_set(tmp_path / "set")))
    assert (response.status_code, response.json["code"]) == (507, "storage_full")
    assert left_over(resources_of(app)) == []
