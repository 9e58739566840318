"""POST /api/v1/scans with zips: they are treated like the files in them."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.support import dicom_files, volume_files
from tests.support.resources import png_bytes
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE
from tests.webapp.clients import NOTHING, SCANS, resources_of, send, sent, traces
from webapp.domain.uploads import archives


def mask_png() -> bytes:
    pixels = np.zeros((48, 64), np.uint8)
    pixels[10:20, 10:20] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def zip_of(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def slices(*numbers: int, folder: str = "") -> dict[str, bytes]:
    return {f"{folder}{number}.png": png_bytes(64, 48) for number in numbers}


def folders_left(app: Flask) -> list[Path]:
    return list((Path(resources_of(app).settings.storage) / "folders").glob("*"))


def test_a_zip_of_slices_with_an_experts_masks_is_one_scan_with_its_truth(app: Flask, client: FlaskClient) -> None:
    data = zip_of(slices(9, 10, 8) | {"9_mask.png": mask_png(), "Thumbs.db": b"x", "__MACOSX/._1.png": b"x"})
    response = send(client, ("P7.zip", data), form={"group": "auto"})
    assert response.status_code == 202
    [scan] = response.json["scans"]
    assert response.json["rejected"] == []
    assert (scan["filename"], scan["slice_count"]) == ("P7", 3)
    assert client.get(f"{SCANS}/{scan['id']}").json["slice_names"] == ["8.png", "9.png", "10.png"]
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"]["slices"] == [1]
    assert folders_left(app) == []


def test_pictures_of_a_discs_viewer_are_no_scans(client: FlaskClient) -> None:
    affine = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), (28, 32, 24))
    files = dicom_files.series(volume_files.head(affine, (28, 32, 24), "uint16"), affine)
    disc = {f"PAT1/DICOM/SE1/{number}": data for number, data in enumerate(files)}
    viewer = slices(1, folder="PAT1/viewer/") | {"PAT1/logo.jpg": png_bytes()}
    data = zip_of(disc | viewer | {"PAT1/DICOMDIR": b"index", "other/2.png": png_bytes()})
    answer = send(client, ("disc.zip", data)).json
    assert sorted((scan["filename"], scan["slice_count"]) for scan in answer["scans"]) == [("2.png", 1), ("SE1", 24)]
    refused = {item["filename"]: item["message"] for item in answer["rejected"]}
    assert set(refused) == {"disc/PAT1/viewer/1.png", "disc/PAT1/logo.jpg", "disc/PAT1/DICOMDIR"}
    assert "send it by itself" in refused["disc/PAT1/logo.jpg"]
    # Without its images the disc's folder is any folder.
    alone = send(client, ("alone.zip", zip_of(viewer | {"PAT1/DICOMDIR": b"index"}))).json
    assert len(alone["scans"]) == 2


def test_patients_folders_of_a_zip_are_a_scan_each_and_other_files_of_the_request_too(client: FlaskClient) -> None:
    data = zip_of(slices(1, 2, folder="P1/") | slices(1, 2, 3, folder="P2/"))
    response = send(client, ("both.zip", data), ("single.png", png_bytes()), form={"group": "auto"})
    assert [(scan["filename"], scan["slice_count"]) for scan in response.json["scans"]] == [
        ("both P1", 2),
        ("both P2", 3),
        ("single.png", 1),
    ]


def test_programs_that_ask_for_no_stack_get_a_scan_a_file(client: FlaskClient) -> None:
    scans = send(client, ("two.zip", zip_of(slices(1, 2)))).json["scans"]
    assert [scan["slice_count"] for scan in scans] == [1, 1]


def test_a_damaged_member_is_named_and_the_others_stand(client: FlaskClient) -> None:
    members = slices(1, 2) | {
        "broken.png": b"\x89PNG\r\n\x1a\nnothing",
        "empty.png": b"",
        "notes.txt": b"a few words about this person",
    }
    answer = send(client, ("set.zip", zip_of(members))).json
    assert len(answer["scans"]) == 2
    said = {item["filename"]: item["code"] for item in answer["rejected"]}
    assert said == {"set/broken.png": "unreadable", "set/empty.png": "empty", "set/notes.txt": "unsupported"}


@pytest.mark.parametrize(
    "members",
    [
        ("[Content_Types].xml", "ppt/presentation.xml", "ppt/media/image1.png", "docProps/thumbnail.jpeg"),
        ("mimetype", "content.xml", "Pictures/1.png", "Thumbnails/thumbnail.png", "META-INF/manifest.xml"),
    ],
    ids=["Office Open XML", "OpenDocument"],
)
def test_an_office_document_is_no_zip_of_scans(app: Flask, client: FlaskClient, members: tuple[str, ...]) -> None:
    document = zip_of({name: png_bytes() if name.endswith((".png", ".jpeg")) else b"<x/>" for name in members})
    answer = send(client, ("talk.zip", document), ("1.png", png_bytes())).json
    assert [scan["filename"] for scan in answer["scans"]] == ["1.png"]
    [refused] = answer["rejected"]
    assert (refused["filename"], refused["code"]) == ("talk.zip", "unsupported")
    assert refused["message"].startswith("The file is an Office document, which is not read here. Save its pictures")
    data_set = client.post("/api/v1/evaluations", data={"archive": (io.BytesIO(document), "talk.zip")})
    assert (data_set.status_code, data_set.json["message"]) == (415, refused["message"])
    inside = send(client, ("mail.zip", zip_of({"talk.pptx": document, **slices(1)}))).json
    assert [scan["filename"] for scan in inside["scans"]] == ["1.png"]
    assert [(item["filename"], item["message"]) for item in inside["rejected"]] == [
        ("mail/talk.pptx", refused["message"])
    ]
    assert folders_left(app) == []


def encrypted() -> bytes:
    data = bytearray(zip_of(slices(1)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (zip_of({"../up.png": png_bytes()}), "unsafe"),
        (zip_of({"inner.zip": zip_of(slices(1))}), "unreadable"),
        (zip_of({"bomb.tif": bytes(2**27)}), "limit"),
        (zip_of({}), "empty"),
        (zip_of(slices(1))[:60], "unreadable"),
        (encrypted(), "unreadable"),
    ],
    ids=["leads out", "nested", "bomb", "without members", "cut", "encrypted"],
)
def test_a_bad_zip_is_refused_in_a_sentence_and_leaves_nothing(
    app: Flask, client: FlaskClient, data: bytes, code: str
) -> None:
    response = send(client, ("bad.zip", data))
    assert (response.status_code, response.json["code"]) == (422, code)
    assert response.json["message"].count(".") >= 1
    assert (traces(app), folders_left(app)) == (NOTHING, [])
    answer = send(client, ("bad.zip", data), ("good.png", png_bytes())).json
    assert [item["filename"] for item in answer["rejected"]] == ["bad.zip"] and len(answer["scans"]) == 1


def test_control_characters_are_taken_out_of_names(client: FlaskClient) -> None:
    members = {"P/1.png": png_bytes(), "P/line\nbreak.png": png_bytes(), "no\timage.txt": b"x"}
    response = send(client, ("lines.zip", zip_of(members)))
    assert response.status_code == 202
    assert sorted(scan["filename"] for scan in response.json["scans"]) == ["1.png", "linebreak.png"]
    for name in ("../up.png", ".\t./up.png", "\n/up.png"):
        refused = send(client, ("bad.zip", zip_of({name: png_bytes()})))
        assert (refused.status_code, refused.json["code"]) == (422, "unsafe"), name
    assert "'../up.png'" in refused.json["message"] or "'/up.png'" in refused.json["message"]


@pytest.mark.parametrize("word", ["0,5", "half"])
def test_a_threshold_that_is_no_number_is_told_how_to_be_written(client: FlaskClient, word: str) -> None:
    response = send(client, ("a.png", png_bytes()), form={"threshold": word})
    assert response.status_code == 422 and "with a point, as 0.5" in response.json["message"]


def test_a_zip_of_more_files_than_are_taken_is_refused_as_a_whole(app: Flask, client: FlaskClient) -> None:
    most = resources_of(app).settings.max_files_per_upload
    response = send(client, ("many.zip", zip_of({f"{n}.png": b"x" for n in range(most + 1)})))
    assert (response.status_code, response.json["code"]) == (413, "too_many_files")
    assert (traces(app), folders_left(app)) == (NOTHING, [])


def test_the_same_key_makes_the_scans_of_a_zip_once(client: FlaskClient) -> None:
    data, headers = zip_of(slices(1, 2)), {"Idempotency-Key": "k1"}
    first, second = (send(client, ("two.zip", data), headers=headers).json for _ in range(2))
    assert [scan["id"] for scan in first["scans"]] == [scan["id"] for scan in second["scans"]]
    assert len(client.get(SCANS).json["scans"]) == 2


def test_masks_of_a_stack_come_in_one_zip(client: FlaskClient) -> None:
    [scan] = send(client, ("P.zip", zip_of(slices(1, 2))), form={"group": "auto"}).json["scans"]
    masks = zip_of({"1.png": mask_png(), "2.png": mask_png()})
    form = {"file": (io.BytesIO(masks), "masks.zip")}
    response = client.put(f"{SCANS}/{scan['id']}/truth", data=form, content_type="multipart/form-data")
    assert response.status_code == 200
    assert response.json["truth"]["slices"] == [0, 1]


def test_annotations_in_a_zip_are_named_as_what_they_are_and_stop_nothing(client: FlaskClient) -> None:
    members = slices(1, 2) | {"annotations.json": b"{}" * 9, "result.json": b"{}" * 9, "labels/1.txt": b"0 0.5 0.5 0.1"}
    members |= {
        "ann/1.png.json": b"{}" * 9,
        "train.csv": b"image_id,rle_mask",
        "README.txt": b"thirty letters and more",
    }
    for group in ("auto", "stack", "none"):
        answer = send(client, ("set.zip", zip_of(members)), form={"group": group}).json
        assert sum(scan["slice_count"] for scan in answer["scans"]) == 2
        assert {item["filename"]: item["code"] for item in answer["rejected"]} == {
            "set/annotations.json": "unsupported",
            "set/result.json": "unsupported",
            "set/labels/1.txt": "unsupported",
            "set/ann/1.png.json": "unsupported",
            "set/train.csv": "unsupported",
            "set/README.txt": "unsupported",
        }
        assert all("annotations, outlines or boxes, or a table" in item["message"] for item in answer["rejected"])


def test_what_describes_a_volume_is_told_to_be_not_needed(client: FlaskClient) -> None:
    """dcm2niix and BIDS write a .json beside each volume."""
    volume = volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)
    members = {"nii/5_flair.nii.gz": volume, "nii/5_flair.json": b'{"Modality": "MR", "EchoTime": 0.12}'}
    answer = send(client, *members.items(), form={"group": "auto"}).json
    assert len(answer["scans"]) == 1
    [refused] = answer["rejected"]
    assert refused["filename"] == "nii/5_flair.json" and "is not needed" in refused["message"]


def test_files_that_are_no_masks_are_not_counted_as_masks(client: FlaskClient) -> None:
    [scan] = send(client, ("P.zip", zip_of(slices(1, 2))), form={"group": "auto"}).json["scans"]
    masks = zip_of(
        {"1.png": mask_png(), "2.png": mask_png(), "README.txt": b"drawn by hand", "annotations.json": b"{}" * 9}
    )
    form = {"file": (io.BytesIO(masks), "masks.zip")}
    response = client.put(f"{SCANS}/{scan['id']}/truth", data=form, content_type="multipart/form-data")
    assert {item["filename"]: item["code"] for item in response.json["rejected"]} == {
        "masks/README.txt": "unsupported",
        "masks/annotations.json": "unsupported",
    }
    assert response.status_code == 415 and "3" not in response.json["message"]


def test_a_zip_is_known_by_its_bytes_and_not_by_its_name(client: FlaskClient) -> None:
    assert not archives.is_zip(io.BytesIO(png_bytes()))
    scan = sent(client, "called.zip", png_bytes())
    assert (scan["filename"], scan["format"]) == ("called.zip", "png")


def test_names_in_utf_8_without_the_flag_are_read_as_such(client: FlaskClient) -> None:
    """As macOS' Finder packs; of other programs' old letters one set is assumed, as APPNOTE 4.4.4 has it."""
    for name, read in (
        ("M\u00fcller \u0641.png".encode(), "M\u00fcller \u0641.png"),
        (b"M\x81ller.png", "M\u00fcller.png"),
    ):
        plain = "x" * len(name)
        data = zip_of({plain: png_bytes()}).replace(plain.encode(), name)
        assert sent(client, "z.zip", data)["filename"] == read
