"""POST /api/v1/scans with `group`: files that are the slices of one scan."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.support.jobs import claim_segmentation
from tests.webapp.clients import NOTHING, SCANS, finish, resources_of, send, traces
from webapp.domain.errors import StorageFull
from webapp.domain.scans import segmentations
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key
from webapp.domain.storage.local import LocalStorage


def slice_png(value: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A gray slice whose brightness says which one it is."""
    pixels = np.full((size[1], size[0]), value, np.uint8)
    pixels[8:16, 8:16] = 255 - value
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def slice_16_bit(value: int) -> bytes:
    pixels = np.linspace(0, 100 * value, 64 * 48).reshape(48, 64).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "tiff")
    return file.getvalue()


def numbered(*numbers: int, name: str = "head_{}.png") -> list[tuple[str, bytes]]:
    return [(name.format(number), slice_png(10 * number)) for number in numbers]


def grouped(client: FlaskClient, *files: tuple[str, bytes], group: str = "auto", **options):
    return send(client, *files, form={"group": group}, **options)


def first_pixels(app: Flask, scan: dict) -> list[int]:
    """The corner of each stored slice."""
    return read_array(resources_of(app).storage, stack_key(scan["id"]))[:, 0, 0, 0].tolist()


def codes(scan: dict) -> list[str]:
    return [warning["code"] for warning in scan["segmentation"]["warnings"]]


def test_numbered_slices_are_one_scan_in_their_order(app: Flask, client: FlaskClient) -> None:
    response = grouped(client, *numbered(2, 10, 9, 8, 1, 3, 4, 5, 6, 7))
    assert response.status_code == 202
    [scan] = response.json["scans"]
    assert response.json["rejected"] == []
    assert (scan["filename"], scan["slice_count"], scan["format"]) == ("head", 10, "png")
    assert scan["slice_names"] == [f"head_{number}.png" for number in range(1, 11)]
    assert first_pixels(app, scan) == [10 * number for number in range(1, 11)]
    assert scan["spacing_mm"] is None
    assert codes(scan) == ["gray_repeated"]

    finish(resources_of(app), scan["segmentation"]["id"])
    done = client.get(f"{SCANS}/{scan['id']}").json
    assert (done["segmentation"]["status"], len(done["segmentation"]["slices"])) == ("succeeded", 10)


def test_the_original_is_a_zip_of_the_files_as_they_were_sent(app: Flask, client: FlaskClient) -> None:
    files = numbered(1, 2, 3)
    [scan] = grouped(client, *files).json["scans"]
    [again] = grouped(client, *files).json["scans"]
    assert again["sha256"] == scan["sha256"]
    with client.get(f"{SCANS}/{scan['id']}/original") as response:
        assert "head.zip" in response.headers["Content-Disposition"]
        data = response.data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [(name, archive.read(name)) for name in archive.namelist()] == files
    page = client.get(f"/scans/{scan['id']}").text
    assert "head_1.png" in page
    assert "head_3.png" in page


def test_programs_get_a_scan_a_file_unless_they_ask(client: FlaskClient) -> None:
    assert len(send(client, *numbered(1, 2)).json["scans"]) == 2
    assert len(grouped(client, *numbered(1, 2), group="none").json["scans"]) == 2
    [scan] = grouped(client, ("p/b.png", slice_png(2)), ("p/a.png", slice_png(1)), group="stack").json["scans"]
    assert (scan["filename"], scan["slice_names"]) == ("p", ["a.png", "b.png"])
    assert grouped(client, *numbered(1, 2), group="some").status_code == 422


def test_the_form_of_the_page_groups(client: FlaskClient) -> None:
    from tests.webapp.clients import token

    response = send(client, *numbered(1, 2), path="/scans", form={"csrf_token": token(client), "group": "auto"})
    assert response.status_code == 303
    assert client.get(response.headers["Location"].replace("/scans/", f"{SCANS}/")).json["slice_count"] == 2


def test_two_patients_in_one_request_are_two_scans(app: Flask, client: FlaskClient) -> None:
    response = grouped(client, *numbered(1, 2, name="a/{}.png"), *numbered(3, 4, name="b/{}.png"))
    first, second = response.json["scans"]
    assert (first["filename"], second["filename"]) == ("a", "b")
    assert (first_pixels(app, first), first_pixels(app, second)) == ([10, 20], [30, 40])


def test_a_bad_slice_is_named_and_the_others_stand(client: FlaskClient) -> None:
    response = grouped(client, *numbered(1, 2, 4), ("head_3.png", b"no picture at all"))
    [scan] = response.json["scans"]
    assert scan["slice_names"] == ["head_1.png", "head_2.png", "head_4.png"]
    assert [(item["filename"], item["code"]) for item in response.json["rejected"]] == [("head_3.png", "unsupported")]
    assert codes(scan)[-2:] == ["slices_missing", "slices_refused"]
    assert "No slice has the number 3" in client.get(f"/scans/{scan['id']}").text
    assert "no number 3" in client.get(f"/scans/{scan['id']}").text


@pytest.mark.parametrize("data", [b"no picture at all", b""], ids=["damaged", "empty"])
def test_a_stack_whose_last_slice_was_refused_says_so(client: FlaskClient, data: bytes) -> None:
    """Its numbers have no gap, so nothing else would tell."""
    [scan] = grouped(client, *numbered(1, 2, 3), ("head_4.png", data)).json["scans"]
    assert scan["missing_slice_numbers"] == []
    assert "slices_refused" in codes(scan)
    [whole] = grouped(client, *numbered(1, 2, 3)).json["scans"]
    assert "slices_refused" not in codes(whole)


def test_where_no_slice_can_be_read_nothing_is_left(app: Flask, client: FlaskClient) -> None:
    response = grouped(client, ("s1.png", b"no picture at all"), ("s2.png", b"no picture either"))
    assert (response.status_code, response.json["code"], len(response.json["rejected"])) == (415, "unsupported", 2)
    assert traces(app) == NOTHING


def test_masks_beside_the_slices_are_no_slices(client: FlaskClient) -> None:
    response = grouped(client, *numbered(1, 2), *numbered(1, 2, 3, name="head_{}_mask.png"))
    [scan] = response.json["scans"]
    assert scan["slice_count"] == 2
    [refused] = response.json["rejected"]
    assert (refused["filename"], refused["code"]) == ("head_3_mask.png", "mask")


def test_slices_of_another_size_stay_apart_and_say_so(app: Flask, client: FlaskClient) -> None:
    files = [*numbered(1, 2), ("head_3.png", slice_png(30, (80, 80))), ("head_4.png", slice_png(40))]
    stack, alone = grouped(client, *files).json["scans"]
    assert (stack["slice_count"], stack["width"], alone["slice_count"], alone["width"]) == (3, 64, 1, 80)
    assert (alone["filename"], alone["slice_names"]) == ("head_3.png", None)
    assert "sizes_differ" in codes(stack)
    assert "sizes_differ" in codes(alone)
    assert first_pixels(app, stack) == [10, 20, 40]


def test_a_file_that_is_a_stack_itself_stays_apart(client: FlaskClient) -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(np.full((48, 64), value, np.uint8)) for value in (1, 2)]
    pages[0].save(file, "tiff", save_all=True, append_images=pages[1:])
    stack, own = grouped(client, *numbered(1, 2), ("head_3.tif", file.getvalue()), group="stack").json["scans"]
    assert (stack["slice_count"], own["slice_count"], own["filename"]) == (2, 2, "head_3.tif")


def test_what_is_true_of_some_slices_is_not_said_of_the_stack(client: FlaskClient) -> None:
    empty = io.BytesIO()
    Image.new("L", (64, 48)).save(empty, "png")
    [scan] = grouped(client, ("s_1.png", empty.getvalue()), *numbered(2, 3, name="s_{}.png")).json["scans"]
    assert codes(scan) == ["gray_repeated"]
    files = [(f"t_{number}.tif", slice_16_bit(number)) for number in (1, 2)]
    [scan] = grouped(client, *files).json["scans"]
    assert "slices_scaled_alone" in codes(scan)


def test_a_stack_has_its_own_limits(make_app: Callable[..., Flask]) -> None:
    app = make_app(GLIOSCOPE_MAX_SLICES="3", GLIOSCOPE_MAX_FILES="4")
    client = app.test_client()
    response = grouped(client, *numbered(1, 2, 3, 4))
    assert (response.status_code, response.json["code"]) == (422, "limit")
    assert "4 slices" in response.json["message"]
    assert "3" in response.json["message"]
    assert grouped(client, *numbered(1, 2, 3, 4, 5)).json["code"] == "too_many_files"
    assert traces(app) == NOTHING


def test_more_files_than_scans_are_taken_where_they_are_slices(make_app: Callable[..., Flask]) -> None:
    client = make_app(GLIOSCOPE_MAX_FILES="2").test_client()
    assert grouped(client, *numbered(1, 2, 3)).status_code == 202
    assert send(client, *numbered(1, 2, 3)).json["code"] == "too_many_files"


def test_a_full_disk_leaves_nothing_of_a_stack(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = LocalStorage.put, []

    def fail(self, source, key, **options):
        calls.append(key)
        if len(calls) == 2:
            raise StorageFull("full.")
        put(self, source, key, **options)

    monkeypatch.setattr(LocalStorage, "put", fail)
    assert grouped(client, *numbered(1, 2)).status_code == 507
    assert traces(app) == NOTHING


def test_the_same_key_groups_once(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "stack-1"}
    first = grouped(client, *numbered(1, 2), headers=headers)
    again = grouped(client, *numbered(1, 2), headers=headers)
    assert [scan["id"] for scan in again.json["scans"]] == [scan["id"] for scan in first.json["scans"]]
    assert grouped(client, *numbered(1, 2), headers=headers, group="stack").status_code == 422


def test_the_masks_of_a_stack_are_one_file(app: Flask, client: FlaskClient) -> None:
    files = [(f"v2.head_{number}.png", slice_png(value)) for number, value in ((1, 10), (2, 200), (3, 220))]
    [scan] = grouped(client, *files).json["scans"]
    assert client.get(f"{SCANS}/{scan['id']}/mask.tif").status_code == 409
    finish(resources_of(app), scan["segmentation"]["id"])

    with client.get(f"{SCANS}/{scan['id']}/mask.tif") as response:
        assert (response.status_code, response.mimetype) == (200, "image/tiff")
        assert "v2.head-mask.tif" in response.headers["Content-Disposition"]
        data = response.data
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 3
        masks = file.asarray()
    assert (masks.shape, masks.dtype) == ((3, 48, 64), np.uint8)
    for index in range(3):
        one = client.get(f"{SCANS}/{scan['id']}/mask.png?slice={index}")
        assert np.array_equal(masks[index], np.asarray(Image.open(io.BytesIO(one.data)))), index
    assert set(np.unique(masks)) == {0, 255}
    assert client.head(f"{SCANS}/{scan['id']}/mask.tif").status_code == 200
    assert not list(Path(resources_of(app).settings.storage).rglob("temporary/*"))


def test_a_running_stack_says_how_far_it_is_on_its_card_on_its_page_and_in_json(
    app: Flask, client: FlaskClient
) -> None:
    [scan] = grouped(client, *numbered(*range(1, 21))).json["scans"]
    resources, run_id = resources_of(app), scan["segmentation"]["id"]
    claimed, _ = claim_segmentation(resources, run_id)

    def done() -> int | None:
        return client.get(f"{SCANS}/{scan['id']}").json["segmentation"]["slices_done"]

    assert done() is None
    assert "The model is reading it" in client.get("/").text
    segmentations.note_progress(resources, claimed, 14)
    assert done() == 14
    for path in ("/", f"/scans/{scan['id']}"):
        assert "14 of 20 slices read" in client.get(path).text, path
    lost = replace(claimed, attempt=claimed.attempt + 1)
    segmentations.note_progress(resources, lost, 20)
    assert done() == 14, "another attempt's"
