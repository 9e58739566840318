"""POST /api/v1/scans: what is admitted, what is refused, and that a refusal leaves nothing behind."""

import gc
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, SCANS, resources_of, send, sent, traces
from webapp.domain.errors import StorageFull
from webapp.domain.storage.local import LocalStorage


def raw(client: FlaskClient, body: bytes, content_type: str = "multipart/form-data; boundary=b", **headers: str):
    return client.post(SCANS, data=body, content_type=content_type, headers=headers)


def part(disposition: str, data: bytes = b"x") -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + data + b"\r\n"


@pytest.fixture
def cut_off() -> Iterator[None]:
    """Werkzeug leaves the parts of a request that it refuses half-read to the garbage collector; collect them here."""
    yield
    gc.collect()


def test_a_good_file_is_answered_202_with_a_queued_scan(app: Flask, client: FlaskClient) -> None:
    data = png_bytes()
    scan = sent(client, "head.png", data)
    assert (scan["filename"], scan["format"], scan["width"], scan["height"]) == ("head.png", "png", 64, 48)
    assert (scan["slice_count"], scan["spacing_mm"], scan["bytes"]) == (1, None, len(data))
    run = scan["segmentation"]
    assert (run["status"], run["queue_position"], run["verdict"], run["error"]) == ("queued", 1, None, None)
    assert traces(app).files == tuple(
        f"objects/scans/{scan['id'][:2]}/{scan['id']}/{name}" for name in ("original", "stack.npy")
    )


@pytest.mark.parametrize(
    ("sent_name", "name"),
    [
        ("Müller.png".encode(), "Müller.png"),
        ("Müller.png".encode("latin-1"), "Müller.png"),
        ("Müller – 5 €.png".encode("cp1252"), "Müller – 5 €.png"),
        (b"M\x81\xfcller.png", "Müller.png"),  # a control character is taken out of every name
        (rb"C:\fakepath\a.png", "a.png"),
        (rb"P7\scans\1 a.png", "1 a.png"),
        (rb"D:\\scans\\a \"b\".png", 'a "b".png'),
        (b"\\\\server\\share\\M\xfcller.png", "Müller.png"),
    ],
    ids=["utf-8", "latin-1", "windows", "no characters of windows", "fakepath", "folders", "escaped", "server"],
)
def test_a_name_in_the_characters_of_an_old_system_is_read(client: FlaskClient, sent_name: bytes, name: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + sent_name + b'"\r\n\r\n'
    response = raw(client, head + png_bytes() + b"\r\n--b--\r\n")
    assert response.status_code == 202, response.json
    assert response.json["scans"][0]["filename"] == name


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("IMG_1.HEIC", b"\0\0\0\x18ftypheic" + bytes(500), "a HEIC or AVIF picture"),
        ("slide.svs", png_bytes(), "a slide of histology"),  # its bytes are those of a TIFF, which is read
        ("flair.mgz", b"\x1f\x8b" + bytes(500), "mri_convert scan.mgz scan.nii.gz"),
    ],
)
def test_a_format_that_is_not_read_is_refused_by_its_name(
    client: FlaskClient, name: str, data: bytes, words: str
) -> None:
    answer = send(client, (name, data))
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported")
    assert words in answer.json["message"]


def test_a_browsers_place_of_a_folder_is_none(client: FlaskClient) -> None:
    """Neither a stack nor a name has `fakepath`, or a drive, of which no slices are."""
    names = (rb"C:\fakepath\s_1.png", rb"C:\fakepath\s_2.png")
    heads = [b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\n' for name in names]
    body = b"".join(head + png_bytes() + b"\r\n" for head in heads)
    body += b'--b\r\nContent-Disposition: form-data; name="group"\r\n\r\nauto\r\n--b--\r\n'
    [scan] = raw(client, body).json["scans"]
    assert (scan["filename"], scan["slice_count"], scan["slice_names"]) == ("s", 2, ["s_1.png", "s_2.png"])


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"--b--\r\n", "multipart/form-data; boundary=b", "no_file"),
        (b"", "multipart/form-data; boundary=b", "no_file"),
        (part('name="other"; filename="x.png"') + b"--b--\r\n", "multipart/form-data; boundary=b", "no_file"),
        (part('name="file"') + b"--b--\r\n", "multipart/form-data; boundary=b", "no_file"),
        (part('name="file"; filename=""') + b"--b--\r\n", "multipart/form-data; boundary=b", "no_name"),
        (part('name="file"; filename="  "') + b"--b--\r\n", "multipart/form-data; boundary=b", "no_name"),
        (part('name="file"; filename="../"') + b"--b--\r\n", "multipart/form-data; boundary=b", "no_name"),
        (part('name="file"; filename="x.png"') + b"--b--\r\n", "multipart/form-data", "no_file"),
        (b"{}", "application/json", "no_file"),
        (png_bytes(), "image/png", "no_file"),
    ],
)
def test_a_request_without_a_file_or_a_name_is_400(
    app: Flask, client: FlaskClient, body: bytes, content_type: str, code: str
) -> None:
    response = raw(client, body, content_type)
    assert (response.status_code, response.json["code"]) == (400, code)
    assert traces(app) == NOTHING


def test_an_empty_file_is_422(app: Flask, client: FlaskClient) -> None:
    response = send(client, ("x.png", b""))
    assert (response.status_code, response.json["code"]) == (422, "empty")
    assert traces(app) == NOTHING


def test_a_file_over_the_limit_is_413(make_app: Callable[..., Flask]) -> None:
    app = make_app(GLIOSCOPE_MAX_UPLOAD_MB="1")
    response = send(app.test_client(), ("x.png", bytes(1_000_001)))
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert "1 MB" in response.json["message"]
    assert traces(app) == NOTHING


@pytest.mark.usefixtures("cut_off")
@pytest.mark.filterwarnings("ignore:.nclosed file:ResourceWarning")
@pytest.mark.parametrize("has_length", [True, False])
def test_a_request_over_the_limit_is_413_with_and_without_a_length(
    make_app: Callable[..., Flask], has_length: bool
) -> None:
    app = make_app(GLIOSCOPE_MAX_UPLOAD_MB="1")
    body = part('name="file"; filename="x.png"', bytes(5_000_000)) + b"--b--\r\n"
    environ = {} if has_length else {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    response = app.test_client().post(
        SCANS, data=body, content_type="multipart/form-data; boundary=b", environ_overrides=environ
    )
    assert (response.status_code, response.json["code"]) == (413, "too_large")
    assert "larger than 4 MB" in response.json["message"] and "GLIOSCOPE_MAX_UPLOAD_MB" in response.json["message"]
    assert traces(app) == NOTHING


@pytest.mark.usefixtures("cut_off")
@pytest.mark.filterwarnings("ignore:.nclosed file:ResourceWarning")
def test_too_many_parts_or_too_much_text_is_413(app: Flask, client: FlaskClient) -> None:
    parts = b"".join(part(f'name="f{index}"') for index in range(1001))
    for body in (parts + b"--b--\r\n", part('name="model"', b"m" * 600_000) + b"--b--\r\n"):
        response = raw(client, body)
        assert (response.status_code, response.json["code"]) == (413, "too_large")
        assert "more than 1,000 parts" in response.json["message"]
    response = send(client, *[("x.png", b"x")] * 101)
    assert (response.status_code, response.json["code"]) == (413, "too_many_files")
    assert traces(app) == NOTHING


@pytest.mark.usefixtures("cut_off")
@pytest.mark.filterwarnings("ignore:.nclosed file:ResourceWarning")
def test_a_body_that_ends_before_its_length_leaves_nothing(app: Flask, client: FlaskClient) -> None:
    body = part('name="file"; filename="x.png"', png_bytes())[:-40]
    response = client.post(
        SCANS,
        data=body,
        content_type="multipart/form-data; boundary=b",
        environ_overrides={"CONTENT_LENGTH": str(len(body) + 1000)},
    )
    assert response.status_code == 400
    assert traces(app) == NOTHING


@pytest.mark.parametrize(
    "form",
    [
        {"threshold": "NaN"},
        {"threshold": "inf"},
        {"threshold": "1.1"},
        {"threshold": "-0.1"},
        {"threshold": "x"},
        {"model": "no-such-model"},
        {"model": "../../etc"},
        {"model": "m" * 101},
        {"model": "a\x00b"},
    ],
    ids=str,
)
def test_a_value_that_is_not_allowed_is_422(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    response = send(client, ("x.png", png_bytes()), form=form, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["message"].endswith(".")
    assert traces(app) == NOTHING


def test_model_and_threshold_are_taken(client: FlaskClient) -> None:
    scan = sent(client, form={"model": "unet-vgg16-lgg", "threshold": "0.75"})
    assert scan["segmentation"]["threshold"] == 0.75


def test_a_bad_file_does_not_stop_the_good_ones(app: Flask, client: FlaskClient) -> None:
    response = send(client, ("a.png", png_bytes()), ("b.png", b"%PDF-1.7 not a picture"), ("c.png", png_bytes(80, 80)))
    assert response.status_code == 202
    assert [scan["filename"] for scan in response.json["scans"]] == ["a.png", "c.png"]
    assert [(item["filename"], item["code"]) for item in response.json["rejected"]] == [("b.png", "unsupported")]
    assert (traces(app).scans, len(traces(app).files)) == (2, 4)


def test_where_all_files_are_bad_the_first_ones_error_is_the_answer(app: Flask, client: FlaskClient) -> None:
    response = send(client, ("a.png", b"%PDF-1.7 not a picture"), ("b.png", b""))
    assert (response.status_code, response.json["code"]) == (415, "unsupported")
    assert [item["code"] for item in response.json["rejected"]] == ["unsupported", "empty"]
    assert traces(app) == NOTHING


def test_a_disk_that_fills_up_between_two_files_is_said_of_the_second(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, calls = LocalStorage.put, []

    def full_after_two(self, source, key, **options):
        calls.append(key)
        if len(calls) > 2:
            raise StorageFull("The storage has no room left; delete scans or free disk space.")
        put(self, source, key, **options)

    monkeypatch.setattr(LocalStorage, "put", full_after_two)
    response = send(client, ("a.png", png_bytes()), ("b.png", png_bytes(80, 80)))
    assert response.status_code == 202
    assert [scan["filename"] for scan in response.json["scans"]] == ["a.png"]
    assert [(item["filename"], item["code"]) for item in response.json["rejected"]] == [("b.png", "storage_full")]
    assert (traces(app).scans, len(traces(app).files)) == (1, 2)


def test_without_a_broker_an_upload_is_taken_within_two_seconds(app: Flask, client: FlaskClient) -> None:
    resources_of(app).decoder.warm_up()
    started = time.monotonic()
    assert sent(client)["segmentation"]["status"] == "queued"
    assert time.monotonic() - started < 2


def test_a_broker_that_takes_connections_and_never_answers_delays_an_upload_once_for_all_files(
    make_app: Callable[..., Flask],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        resources_of(app).decoder.warm_up()
        started = time.monotonic()
        response = send(app.test_client(), *[(f"{index}.png", png_bytes()) for index in range(5)])
        seconds = time.monotonic() - started
    assert response.status_code == 202
    assert seconds < 9, "publishing gives up within 2 s, once for all files of a request: five times would take 10"
