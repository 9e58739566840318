"""A portal starts with what serving needs, and with nothing that a later request alone needs."""

import gc
import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.portal_process import PROJECT_ROOT
from tests.support.resources import png_bytes
from tests.support.servers import redis_server
from webapp import warm_up

# Readers and writers of files, drawing, arithmetic of workers, clients of stores and identity providers that are not
# set up: each is imported by the first request, or in the process, that needs it.
LATER = {
    *("tifffile", "pydicom", "nibabel", "fpdf", "matplotlib"),
    *("scipy", "openvino", "torch", "cv2", "pandas"),
    *("boto3", "botocore", "authlib", "requests", "alembic", "psycopg"),
}


def test_a_start_imports_nothing_that_the_first_page_does_not_need() -> None:
    code = "import sys, wsgi; print(' '.join(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert not LATER & set(output.split())


FIRST_REQUESTS = """
import io, sys
from webapp.factory import create_app
from webapp.warm_up import warm_up
app = create_app()
app.test_cli_runner().invoke(args=["migrate"])
client = app.test_client()
client.get("/healthz")  # what the client of a test imports
{warm}
modules, templates = set(sys.modules), len(app.jinja_env.cache)
with open(sys.argv[1], "rb") as file:
    answer = client.post("/api/v1/scans", data={{"file": (io.BytesIO(file.read()), "a.png")}})
assert answer.status_code == 202, answer.text
scan = answer.json["scans"][0]["id"]
for path in ("/", f"/scans/{{scan}}", f"/api/v1/scans/{{scan}}/scan.png", f"/api/v1/scans/{{scan}}/thumbnail.png"):
    assert client.get(path).status_code == 200, path
print(sorted(set(sys.modules) - modules), len(app.jinja_env.cache) - templates)
app.extensions["resources"].decoder.close()
"""


@pytest.mark.parametrize("is_warm", [True, False])
def test_the_first_upload_imports_nothing_and_compiles_no_template(tmp_path: Path, is_warm: bool) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes())
    code = FIRST_REQUESTS.format(warm="warm_up(app)" if is_warm else "")
    with redis_server() as redis_url:
        environ = {**os.environ, "GLIOSCOPE_INSTANCE": str(tmp_path / "instance"), "REDIS_URL": redis_url}
        command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip() == "[] 0") is is_warm, done.stdout


def test_no_garbage_is_collected_while_a_web_process_starts_and_it_is_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks = runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))
    is_warm = threading.Event()
    warmed: list[object] = []
    monkeypatch.setattr(warm_up, "warm_up", lambda app: warmed.append(app) or is_warm.set())
    gc.unfreeze()
    try:
        hooks["post_fork"](None, None)
        assert not gc.isenabled()
        hooks["post_worker_init"](SimpleNamespace(wsgi="the application"))
        assert gc.isenabled() and gc.get_freeze_count()
        assert is_warm.wait(10)
        assert warmed == ["the application"]
    finally:
        gc.enable()
