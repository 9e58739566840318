"""Several scans as one zip, their masks alone, and the history as a table."""

import codecs
import csv
import html
import io
import re
import threading
import zipfile
from typing import Any

import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient

from tests.support import scan_files
from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, finish, finished, resources_of, sent
from webapp.domain.scans import history, result_zips
from webapp.domain.scans.images import KINDS
from webapp.domain.storage.keys import scan_prefix

ZIP, TABLE = f"{SCANS}/download.zip", f"{SCANS}/history.csv"


def opened(response: Any) -> zipfile.ZipFile:
    assert response.status_code == 200, response.json
    file = zipfile.ZipFile(io.BytesIO(response.data))
    assert file.testzip() is None
    return file


@pytest.fixture
def ids(app: Flask) -> list[str]:
    """A stack of two slices, two scans of one name in a study, one that is queued, and one that is gone."""
    client = app.test_client()
    stack = finished(app, "stack.tif", scan_files.every_format()["tiff stack"])
    same = [finished(app, "nul.png", png_bytes(value=value)) for value in (80, 70)]
    for scan in same:
        client.patch(f"{SCANS}/{scan['id']}", json={"study": "../P/7: "})
    return [stack["id"], *(scan["id"] for scan in same), sent(client, "queued.png")["id"], "0" * 32]


def test_selected_masks_are_one_tiff_a_scan_and_what_is_left_out_is_named(client: FlaskClient, ids: list[str]) -> None:
    with opened(client.post(ZIP, json={"scans": ids, "content": "masks"})) as file:
        masks = {name: tifffile.imread(io.BytesIO(file.read(name))) for name in file.namelist() if name[-4:] == ".tif"}
        assert set(masks) == {"stack-mask.tif", "_P_7_/_nul-mask.tif", "_P_7_/_nul (2)-mask.tif"}
        assert masks["stack-mask.tif"].shape[0] > 1
        assert all(set(np.unique(mask)) <= {0, 255} for mask in masks.values())
        left_out = file.read("left_out.txt").decode()
        assert "queued.png: There is no result yet: the segmentation is queued." in left_out and "0" * 32 in left_out
        assert "Not for diagnosis" in file.read("README.txt").decode()


def test_a_zip_of_everything_has_a_folder_a_scan(client: FlaskClient, ids: list[str]) -> None:
    with opened(client.post(ZIP, json={"scans": ids[:2]})) as file:
        names = set(file.namelist())
    assert {"stack/mask.tif", "stack/result.json", "_P_7_/_nul/result.json", "README.txt"} <= names
    assert {f"_P_7_/_nul/{kind}/slice_0000.png" for kind in KINDS if kind != "thumbnail"} <= names
    assert "left_out.txt" not in names


def test_a_study_is_one_zip(client: FlaskClient, ids: list[str]) -> None:
    study = client.get(f"{SCANS}/{ids[1]}").json["study"]["id"]
    response = client.get(f"/api/v1/studies/{study}/download.zip?content=masks")
    assert response.headers["Content-Disposition"] == "attachment; filename=_P_7_-masks.zip"
    with opened(response) as file:
        assert [name for name in file.namelist() if name.endswith(".tif")] == [
            "_P_7_/_nul-mask.tif",
            "_P_7_/_nul (2)-mask.tif",
        ]


def test_scans_without_a_result_and_lost_arrays(app: Flask, client: FlaskClient, ids: list[str]) -> None:
    assert client.post(ZIP, json={"scans": ids[3:]}).json["code"] == "not_ready"
    for body in ({"scans": []}, {"scans": ids, "content": "x"}, {"scans": ["a"] * 201}, {"scans": "a"}):
        assert client.post(ZIP, json=body).status_code == 422
    resources_of(app).storage.delete(scan_prefix(ids[1]))
    with opened(client.post(ZIP, json={"scans": ids[:2], "content": "masks"})) as file:
        assert "nul.png" in file.read("left_out.txt").decode()


def test_downloads_of_all_kinds_share_few_places(
    client: FlaskClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_zips, "_places", threading.BoundedSemaphore(1))
    first = client.post(ZIP, json={"scans": ids}, buffered=False)
    assert client.get(TABLE).json["code"] == "too_many_downloads"
    first.close()
    assert client.get(TABLE).status_code == 200


def rows_of(response: Any) -> list[dict[str, str]]:
    assert (response.status_code, response.mimetype) == (200, "text/csv")
    return list(csv.DictReader(io.StringIO(response.data.decode())))


def test_the_history_as_a_table_has_every_scan_of_the_filter(any_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = any_app.test_client()
    monkeypatch.setattr("webapp.downloads.LARGEST_LIMIT", 2)
    monkeypatch.setattr(history, "LARGEST_LIMIT", 2)
    scans = [sent(client, f"{number}.png", png_bytes(value=60 + number)) for number in range(5)]
    finish(resources_of(any_app), scans[2]["segmentation"]["id"])
    assert [row["filename"] for row in rows_of(client.get(TABLE))] == [f"{number}.png" for number in (4, 3, 2, 1, 0)]
    [row] = rows_of(client.get(f"{TABLE}?status=succeeded"))
    shown = client.get(f"{SCANS}/{scans[2]['id']}").json
    assert (row["id"], row["verdict"], row["threshold"]) == (shown["id"], shown["segmentation"]["verdict"], "0.65")
    for name in ("head_pixels", "head_coverage_percent", "mean_confidence", "rim_width_pixels"):
        value = shown["segmentation"][name]
        assert row[name] == ("" if value is None else f"{value:.6g}")
    assert row["coverage_percent"] == f"{shown['segmentation']['coverage_percent']:.6g}"
    assert rows_of(client.get(f"{TABLE}?q=nothing")) == []
    assert client.get(f"{TABLE}?sort=x").status_code == 422


def test_the_tables_have_figures_with_the_digits_that_the_json_has(app: Flask, client: FlaskClient) -> None:
    scan = sent(client, form={"threshold": "0.123456789"})
    finish(resources_of(app), scan["segmentation"]["id"])
    [row] = rows_of(client.get(TABLE))
    [whole, *_] = rows_of(client.get(f"{SCANS}/{scan['id']}/measurements.csv"))
    assert row["threshold"] == whole["threshold"] == "0.123456789"


@pytest.mark.parametrize("name", ["=cmd|'x'!A0", "@SUM(1)", " +1", "＝1"])
def test_a_name_that_a_spreadsheet_would_run_is_quoted(client: FlaskClient, name: str) -> None:
    sent(client, f"{name}.png", form={"study": name})
    [row] = rows_of(client.get(TABLE))
    assert row["filename"].startswith("'") and row["study"].startswith("'")


def test_the_pages_table_begins_with_the_mark_by_which_excel_tells_utf_8(app: Flask, client: FlaskClient) -> None:
    """Without it Excel takes "Müller" for "MÃ¼ller"; a program's own has none, which most readers take for a letter."""
    finished(app, "Müller فحص.png")
    [address] = re.findall(r'href="([^"]*history\.csv[^"]*)"', client.get("/scans").text)
    shown, plain = client.get(html.unescape(address)), client.get(TABLE)
    assert shown.data.startswith(codecs.BOM_UTF8 + b"id,") and plain.data.startswith(b"id,")
    assert shown.data[3:] == plain.data and "Müller فحص.png" in plain.text
    assert client.get(f"{TABLE}?bom=x").status_code == 422
