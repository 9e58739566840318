"""The files of deploy/ against the code: metrics that exist, settings that exist, units that systemd takes."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.resources import make_settings
from tests.support.servers import NGINX_TEMPORARY
from webapp.domain.networks import node_status
from webapp.domain.networks.node_status import NodeStatus
from webapp.domain.settings import PROJECT_ROOT, SETTINGS, Settings, SettingsError, check_bind
from webapp.factory import create_app

DEPLOY = PROJECT_ROOT / "deploy"
DOCS = PROJECT_ROOT / "docs"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
METRIC = re.compile(r"\bglioscope_[a-z_]+")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())["panels"])


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.fixture
def watched(tmp_path: Path, empty_sqlite: Path) -> tuple[Flask, list[Metric]]:
    """A portal with a DICOM node, and its figures."""
    settings = make_settings(tmp_path, GLIOSCOPE_DICOM_NODE="on")
    node_status.spool_folder(settings).mkdir()
    node_status.write(settings, NodeStatus(1.0, heard_at=1.0))
    shutil.copy(empty_sqlite, settings.instance_dir / "glioscope.sqlite3")
    app = create_app(settings)
    client = app.test_client()
    client.get("/healthz")
    return app, list(text_string_to_metric_families(client.get("/metrics").text))


def test_rules_and_dashboard_name_metrics_labels_and_routes_that_exist(watched: tuple[Flask, list[Metric]]) -> None:
    _, families = watched
    served = {family.name for family in families} | {item.name for family in families for item in family.samples}
    named = {metric for text in expressions() for metric in METRIC.findall(text)}
    assert named <= served and {"glioscope_stuck_jobs", "glioscope_live_workers"} <= named
    values: dict[str, set[str]] = {}
    for sample in (item for family in families for item in family.samples):
        for label, value in sample.labels.items():
            values.setdefault(label, set()).add(value)
    for text in expressions():
        for label, words in re.findall(r'(event|state)=~?"([^"]+)"', text):
            assert {*words.split("|")} <= values[label], text


def test_routes_that_wait_for_a_result_are_no_slow_reads(watched: tuple[Flask, list[Metric]]) -> None:
    app, _ = watched
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    paths = app.test_client().get("/api/v1/openapi.json").json["paths"]
    that_wait = {
        path
        for path, item in paths.items()
        if "wait" in [parameter.get("name") for parameter in item.get("get", {}).get("parameters", ())]
    }
    left_out = [words for text in expressions() for words in re.findall(r'route!~"([^"]+)"', text)]
    assert len(left_out) >= 3 and len(set(left_out)) == 1
    found = {re.sub(r"<[^:>]+:([^>]+)>", r"{\1}", rule) for rule in rules if re.fullmatch(left_out[0], rule)}
    assert found == that_wait and len(found) == 2
    assert not [text for text in expressions() if re.search('route!?="', text)]


def test_every_figure_is_in_the_documentation_and_no_other(watched: tuple[Flask, list[Metric]]) -> None:
    _, families = watched
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    served = {name for name in names if not name.endswith("_created")}  # of a histogram, by the library itself
    table = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "operations.md").read_text(), re.M))
    assert {name for name in table if METRIC.match(name)} == served
    named = {name for path in DOCS.glob("*.md") for name in re.findall(r"`(glioscope_[a-z_]+)`", path.read_text())}
    assert named - {"glioscope_trial"} <= served


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 5
    for rule in rules():
        assert rule["for"] and rule["labels"]["severity"] in ("critical", "warning")
        assert all(rule["annotations"][key].endswith(".") for key in ("summary", "description"))


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_what_the_supervisor_starts(path: Path) -> None:
    service = unit(path)["Service"]
    command = service["ExecStart"].removeprefix("/usr/bin/env ").removeprefix("python -m ")
    assert command in (DEPLOY / "supervisord.conf").read_text()
    names = set(re.findall(r"\b(?:GLIOSCOPE_[A-Z_]+|DATABASE_URL|REDIS_URL)\b", path.read_text()))
    assert names <= {entry.name for entry in SETTINGS.values()}
    # Its own sandbox needs these (ml.sandbox.confinement): a filter of system calls on top could forbid them.
    assert service["NoNewPrivileges"] == "true" and "SystemCallFilter" not in service


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_a_unit(path: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze: install the package systemd")
    # An account of this machine in place of one that the operator makes.
    copy = tmp_path / path.name.replace("@.", "@all.")
    copy.write_text(path.read_text().replace("User=glioscope", "User=root").replace("/srv/glioscope", str(tmp_path)))
    done = subprocess.run([program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if path.stem.rstrip("@") in line]
    assert complaints == [], done.stderr


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())["services"])


def test_the_containers_run_what_the_supervisor_runs_with_settings_that_exist() -> None:
    found = services()
    supervised = (DEPLOY / "supervisord.conf").read_text()
    web, worker, sweeper = (found[name]["command"] for name in ("web", "worker", "sweeper"))
    assert found["batch_worker"]["command"] == worker
    jobs = [found[name]["environment"]["GLIOSCOPE_WORKER_JOBS"] for name in ("worker", "batch_worker")]
    assert jobs == ["interactive", "batch"], "every queue is consumed"
    assert web[0] == "gunicorn" and web[-1] == "wsgi:app" and "gunicorn wsgi:app" in supervised
    assert " ".join(worker) in supervised and sweeper[-1] in supervised
    known = {entry.name for entry in SETTINGS.values()}
    node = found["dicom_node"]
    assert node["command"][-1] in supervised and node["profiles"] == ["dicom"], "off by default"
    for service in (found["web"], found["worker"], found["sweeper"], node):
        ours = {name for name in service["environment"] if not name.startswith("AWS_")}
        assert ours <= known and {"DATABASE_URL", "REDIS_URL", "GLIOSCOPE_SECRET_KEY"} <= ours
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
        # The portal's own login: a proxy's would take the header that tokens come in.
        assert service["environment"]["GLIOSCOPE_AUTH"] == "password"
    # Nobody comes past the proxy's TLS: no other service but the DICOM node has a port, and the portal listens on a
    # socket.
    assert {name for name, service in found.items() if "ports" in service} == {"proxy", "dicom_node"}
    assert any(word.startswith("unix:") for word in web)


def test_the_settings_of_the_containers_can_be_read(tmp_path: Path) -> None:
    given = {"POSTGRES_PASSWORD": "a", "STORE_PASSWORD": "b", "GLIOSCOPE_SECRET_KEY": "x" * 40}
    values = {}
    for name, text in services()["web"]["environment"].items():
        values[name] = re.sub(r"\$\{(\w+)(?::?-([^}]*)|:\?)?\}", lambda m: given.get(m[1], m[2] or ""), text)
    settings = Settings.from_environment(values | {"GLIOSCOPE_INSTANCE": str(tmp_path)})
    assert settings.storage == "s3://scans/glioscope" and settings.trusted_proxies == 1
    assert settings.database_url == "postgresql+psycopg://glioscope:a@database/glioscope"


def test_the_image_holds_what_a_portal_needs_and_nothing_else() -> None:
    text, copied, allowed = dockerfile("Dockerfile")
    assert copied == allowed and all((PROJECT_ROOT / name).exists() for name in copied)
    assert {"ml", "webapp", "worker", "templates", "static", "migrations", "wsgi.py"} <= copied
    assert re.search(r"^USER 10001$", text, re.MULTILINE) and "requirements.txt" not in text


def dockerfile(name: str) -> tuple[str, set[str], set[str]]:
    """An image's text, what it copies of the project, and what its .dockerignore lets through."""
    text = (DEPLOY / "container" / name).read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]}
    lines = (DEPLOY / "container" / f"{name}.dockerignore").read_text().splitlines()
    return text, copied, {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_the_image_of_the_demonstration_starts_everything_on_the_port_that_it_is_given(tmp_path: Path) -> None:
    text, copied, allowed = dockerfile("Dockerfile.demo")
    assert copied == allowed and all((PROJECT_ROOT / name).exists() for name in copied)
    assert "deploy/supervisord.conf" in copied and re.search(r"^USER 1000$", text, re.MULTILINE)
    (command,) = re.findall(r"^CMD (.+)$", text, re.MULTILINE)
    shell, flag, line = json.loads(command)
    assert (shell, flag) == ("sh", "-c") and line.endswith("exec python -m webapp.process.launch")
    variables = dict(re.findall(r"(GLIOSCOPE_\w+)=(\S+)", text.split("ENV ", 1)[1].split("\nUSER")[0]))
    environment = {"PATH": os.environ["PATH"], "PORT": "4321", **variables}
    said = line.replace("exec python -m webapp.process.launch", 'echo "$GLIOSCOPE_BIND"').replace(" echo", "; echo")
    shown = subprocess.run([shell, flag, said], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "0.0.0.0:4321"
    own = variables | {"GLIOSCOPE_INSTANCE": str(tmp_path)}
    with pytest.raises(SettingsError, match="GLIOSCOPE_ALLOWED_HOSTS, the name"):
        check_bind(Settings.from_environment(own), ("0.0.0.0", 4321))
    named = Settings.from_environment(own | {"GLIOSCOPE_ALLOWED_HOSTS": "demo.example.org"})
    check_bind(named, ("0.0.0.0", 4321))
    assert (named.auth, named.trusted_proxies, named.max_slices) == ("demo", 1, 32)


def test_nginx_takes_the_containers_configuration(tmp_path: Path) -> None:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx: install the package nginx-light")
    make_certificate(tmp_path)
    text = (DEPLOY / "container" / "nginx.conf").read_text()
    assert "auth_basic" not in text
    own = tmp_path / "nginx.conf"
    own.write_text(text.replace("/etc/nginx/tls", str(tmp_path)).replace("/tmp/", f"{tmp_path}/"))
    done = subprocess.run([program, "-t", "-q", "-c", str(own)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def operators_environments() -> list[dict[str, str]]:
    """The environment files of docs/operations.md; systemd would take a comment behind a value as a part of it."""
    text = (DEPLOY.parent / "docs" / "operations.md").read_text()
    fenced = re.findall(r"^```(\w*)\n(.+?)^```$", text, re.M | re.S)
    blocks = [block.splitlines() for language, block in fenced if not language]
    for line in [line for block in blocks for line in block]:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*=[^\s#]+", line), line
    return [dict(line.split("=", 1) for line in block) for block in blocks]


def test_the_operators_environment_can_be_read_and_answers_the_names_it_is_asked_by(tmp_path: Path) -> None:
    text = (DEPLOY.parent / "docs" / "operations.md").read_text()
    environ, node = operators_environments()
    settings = Settings.from_environment(environ | {"GLIOSCOPE_INSTANCE": str(tmp_path)})
    check_bind(settings, ("0.0.0.0", 8000))
    assert settings.auth == "password" and set(node) <= {entry.name for entry in SETTINGS.values()}
    called = set(re.findall(r"\b([a-z][a-z0-9-]*):8000\b", text)) - {"127.0.0.1"}
    assert called == {"node-1", "node-2"} and called <= set(settings.allowed_hosts), "Prometheus would be answered 400"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_may_write_where_the_operators_environment_says(path: Path) -> None:
    service, environ = unit(path)["Service"], operators_environments()[0]
    assert service["ProtectSystem"] == "strict" and service["StateDirectory"] == "glioscope"
    writable = ["/var/lib/glioscope", *(word.removeprefix("-") for word in service["ReadWritePaths"].split())]
    for name in ("GLIOSCOPE_INSTANCE", "GLIOSCOPE_FOLDERS"):
        assert any(Path(environ[name]).is_relative_to(place) for place in writable), name


def test_nginx_takes_the_server_block_of_the_guide(tmp_path: Path) -> None:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx: install the package nginx-light")
    (block,) = re.findall(r"^```nginx\n(.+?)^```$", (PROJECT_ROOT / "docs" / "deployment.md").read_text(), re.M | re.S)
    make_certificate(tmp_path)
    own = tmp_path / "nginx.conf"
    block = block.replace("/etc/nginx/tls", str(tmp_path)).replace("listen 443", "listen 127.0.0.1:8443")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in NGINX_TEMPORARY)
    own.write_text(f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ {temporary} {block} }}")
    command = [program, "-t", "-q", "-e", str(tmp_path / "error.log"), "-c", str(own)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def make_certificate(folder: Path) -> None:
    """key.pem and cert.pem there."""
    subject = ["-subj", "/CN=localhost", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run(command, check=True, capture_output=True)


def test_the_operators_guide_names_what_there_is() -> None:
    """Its settings, units and figures exist, and every alert has a row that says what to do."""
    text = (DEPLOY.parent / "docs" / "operations.md").read_text()
    known = {entry.name for entry in SETTINGS.values()}
    assert set(re.findall(r"\bGLIOSCOPE_[A-Z_]+", text)) <= known
    units = {path.stem for path in UNITS}
    assert {name.partition("@")[0] for name in re.findall(r"\bglioscope-[a-z]+(?:-[a-z]+)*@?", text)} <= {
        unit.rstrip("@") for unit in units
    }
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())["groups"][0]["rules"]
    described = re.findall(r"^\| `(Glioscope\w+)`", text, re.M)
    assert described == [rule["alert"] for rule in rules]
