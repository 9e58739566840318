"""The description of the API: complete, of one form, and answers that keep to it."""

import html
import io
import json
import re
from typing import Any

import marshmallow as ma
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.clients import SCANS, finished
from webapp.schemas.scans import ScanDetailSchema
from webapp.schemas.segmentations import SegmentationSchema

SPEC = "/api/v1/openapi.json"
DOCUMENTS = {SPEC, "/api/v1/docs"}


def test_every_call_is_described_with_its_answers(app: Flask, client: FlaskClient) -> None:
    paths = client.get(SPEC).json["paths"]
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/") or rule.rule in DOCUMENTS:
            continue
        described = paths[re.sub(r"<(?:[^:>]*:)?(\w+)>", r"{\1}", re.sub(r"any\([^)]*\)", "any", rule.rule))]
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            operation = described[method.lower()]
            assert operation["summary"].endswith(".")
            assert {"default"} < set(operation["responses"])


def test_every_reference_leads_somewhere(client: FlaskClient) -> None:
    response = client.get(SPEC)
    for reference in set(re.findall(r'"\$ref": ?"#/components/(\w+)/(\w+)"', response.text)):
        kind, name = reference
        assert name in response.json["components"][kind]


def test_a_body_is_required_where_a_call_without_it_is_refused(app: Flask, client: FlaskClient) -> None:
    """Running again without a body was 202, and described as impossible."""
    paths = client.get(SPEC).json["paths"]
    one = f"{SCANS}/{finished(app)['id']}"
    for path, method, target, status in (
        (f"{SCANS}/{{scan_id}}/segmentations", "post", f"{one}/segmentations", 202),
        (f"{SCANS}/{{scan_id}}", "patch", one, 422),
        (f"{SCANS}/{{scan_id}}/sequences", "put", f"{one}/sequences", 422),
    ):
        body = paths[path][method]["requestBody"]
        assert body.get("required", False) == (status == 422)
        assert client.open(target, method=method.upper()).status_code == status


def test_no_parameter_has_a_place_that_openapi_3_does_not_know(client: FlaskClient) -> None:
    spec = client.get(SPEC).json
    assert spec["openapi"].startswith("3.")
    for item in spec["paths"].values():
        for operation in item.values():
            parameters = operation.get("parameters", []) if isinstance(operation, dict) else []
            assert {parameter["in"] for parameter in parameters} <= {"query", "header", "path", "cookie"}
    upload = spec["paths"][SCANS]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(upload) == {"file", "model", "threshold", "group", "study", "volume"}


def test_an_error_has_the_described_form(client: FlaskClient) -> None:
    spec = client.get(SPEC).json
    described = spec["components"]["schemas"]["Error"]
    assert set(described["required"]) == {"code", "message", "request_id"}
    assert set(described["properties"]) == {"code", "message", "request_id", "rejected"}
    assert set(client.get("/api/v1/scans?limit=0").json) == {"code", "message", "request_id"}


def test_a_scans_answer_has_the_described_fields_and_no_others(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    assert set(scan) == set(ScanDetailSchema().fields)
    assert set(scan["segmentation"]) == set(SegmentationSchema().fields)
    assert ScanDetailSchema(unknown=ma.RAISE).validate(scan) == {}
    assert client.get(f"{SCANS}/{scan['id']}").json == scan


def test_what_may_be_null_is_described_so(client: FlaskClient) -> None:
    """A generated client raised ValueError at a queued run."""
    schemas = client.get(SPEC).json["components"]["schemas"]
    verdict = schemas["Segmentation"]["properties"]["verdict"]
    assert verdict["type"] == ["string", "null"] and None in verdict["enum"]
    for name, field in (("Scan", "segmentation"), ("Segmentation", "doubt"), ("Segmentation", "error")):
        kinds = schemas[name]["properties"][field]["anyOf"]
        assert {"type": "null"} in kinds and any("$ref" in kind for kind in kinds) and len(kinds) == 2


def test_every_call_has_a_name_of_its_own(client: FlaskClient) -> None:
    """Generators call their functions so; without it they make one of the address, which another release may change."""
    paths = client.get(SPEC).json["paths"]
    names = [call["operationId"] for item in paths.values() for call in item.values() if "responses" in call]
    assert len(names) > 40 and len(set(names)) == len(names)
    assert paths[SCANS]["get"]["operationId"] == "list_scans"


def test_what_is_always_in_an_answer_is_described_so(client: FlaskClient) -> None:
    """A typed client asked of each link, and of a run's verdict and warnings, whether it was there."""
    spec = client.get(SPEC).json
    answers = [call["responses"] for item in spec["paths"].values() for call in item.values() if "responses" in call]
    may_lack = {
        (name, field)
        for name in _named_in(spec, answers)
        for field in set(spec["components"]["schemas"][name]["properties"])
        - set(spec["components"]["schemas"][name]["required"])
    }
    # Of an error, and of a model whose card cannot be read.
    assert {name for name, _field in may_lack} == {"Error", "Model"}
    assert ("Error", "rejected") in may_lack and ("Model", "name") not in may_lack


def _named_in(spec: dict[str, Any], part: object) -> set[str]:
    """The schemas that a part of the description names, and those that they name."""
    found: set[str] = set()
    left = [part]
    while left:
        for kind, name in re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(left.pop())):
            if kind != "schemas" or name not in found:
                left.append(spec["components"][kind][name])
            if kind == "schemas":
                found.add(name)
    return found


def test_the_page_describes_every_call(client: FlaskClient) -> None:
    page = client.get("/api/v1/docs").text
    for path in client.get(SPEC).json["paths"]:
        assert f"<code>{path}</code>" in page
    assert "unreadable" in page and "idempotency_key_reused" in page


def test_a_models_answer_has_the_described_fields_and_no_others(client: FlaskClient) -> None:
    models = client.get("/api/v1/models").json["models"]
    schemas = client.get(SPEC).json["components"]["schemas"]
    for model in models:
        assert set(model) == set(schemas["Model"]["properties"])
        assert set(model["training"]) == set(schemas["CardTraining"]["properties"])
        assert all(set(metric) == set(schemas["CardMetric"]["properties"]) for metric in model["metrics"])
    assert schemas["Model"]["properties"]["threshold"] == {"type": "number"}
    assert schemas["ModelList"]["properties"]["models"]["items"] == {"$ref": "#/components/schemas/Model"}


def test_the_pages_commands_send_what_their_calls_take(client: FlaskClient) -> None:
    page = html.unescape(client.get("/api/v1/docs").text)
    commands = re.findall(r'<pre [^>]*aria-label="Example of ([A-Z]+) [^>]*>(.*?)</pre>', page, re.DOTALL)
    sent = [(method, line) for method, lines in commands for line in lines.splitlines()]
    assert len(sent) > 40
    for method, line in sent:
        address = re.search(r'"http://localhost([^"]+)"$', line)
        assert address is not None and "{" not in address[1], line
        url = re.sub(r"\$position", "0", address[1])
        url = re.sub(r"\$\w+", "0" * 32, url)
        body = re.search(r"-d '(.*?)'", line)
        files = {name: (io.BytesIO(b""), file) for name, file in re.findall(r"-F (\w+)=@(\S+)", line)}
        answer = client.open(url, method=method, json=json.loads(body[1])) if body else (
            client.open(url, method=method, data=files or None)
        )  # fmt: skip
        # No such scan, an empty file, no result: but nothing is missing, unknown or of another kind.
        is_understood = answer.status_code in (200, 404, 409) or answer.json["code"] in ("empty", "folder_refused")
        assert is_understood, (line, answer.text)


def test_every_answer_with_content_says_of_which_type(app: Flask, client: FlaskClient) -> None:
    """Clients that generators made had no answer of a call for a picture, a table or a zip."""
    scan = finished(app)
    spec = client.get(SPEC).json
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            answers = operation["responses"] if isinstance(operation, dict) and "responses" in operation else {}
            for status, answer in answers.items():
                described = answer.get("content", {})
                assert "$ref" in answer or status == "204" or described, (method, path, status)
                assert all("schema" in media for media in described.values()), (method, path, status)
    binary = {"schema": {"type": "string", "format": "binary"}}
    pictures = spec["paths"][f"{SCANS}/{{scan_id}}/{{kind}}.png"]["get"]["responses"]["200"]["content"]
    assert pictures == {"image/png": binary, "application/octet-stream": binary}
    table = spec["paths"][f"{SCANS}/history.csv"]["get"]["responses"]["200"]["content"]
    assert table == {"text/csv": {"schema": {"type": "string"}}}
    assert client.get(f"{SCANS}/{scan['id']}/mask.png").mimetype == "image/png"


def test_it_says_how_a_token_is_sent(client: FlaskClient) -> None:
    """Clients that generators made sent no token, whatever they were told."""
    spec = client.get(SPEC).json
    assert spec["security"] == [{"token": []}, {}]
    assert spec["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}


def test_a_part_of_a_file_is_described_where_it_is_sent(app: Flask, client: FlaskClient) -> None:
    """A validating proxy refused the answer to a download that went on where it had been cut."""
    scan = finished(app)
    paths = client.get(SPEC).json["paths"]
    in_parts = []
    for address in scan["links"].values():
        described = paths.get(address.replace(scan["id"], "{scan_id}"), {}).get("get")
        if described is None:  # a page, or one of the calls for pictures
            continue
        with client.get(address, headers={"Range": "bytes=2-5"}) as answer:
            assert (answer.status_code == 206) == ("206" in described["responses"]), address
            assert answer.status_code == 206 or "Accept-Ranges" not in answer.headers, address
            if answer.status_code == 206:
                in_parts.append(address)
                assert answer.data == client.get(address, buffered=True).data[2:6]
    assert in_parts
