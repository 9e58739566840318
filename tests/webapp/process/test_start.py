"""A portal starts with what serving needs, and with nothing that a later request alone needs."""

import gc
import runpy
import subprocess
import sys
import threading
from types import SimpleNamespace

from tests.support.portal_process import PROJECT_ROOT
from webapp.domain.jobs.broker import INTERACTIVE

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


def test_no_garbage_is_collected_while_a_web_process_starts_and_it_is_afterwards() -> None:
    hooks = runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))
    is_warm = threading.Event()
    published: list[str] = []
    queue = SimpleNamespace(is_reachable=lambda: True, publish=published.append)
    resources = SimpleNamespace(decoder=SimpleNamespace(warm_up=is_warm.set), queue=queue)
    try:
        hooks["post_fork"](None, None)
        assert not gc.isenabled()
        hooks["post_worker_init"](SimpleNamespace(wsgi=SimpleNamespace(extensions={"resources": resources})))
        assert gc.isenabled() and gc.get_freeze_count()
        assert is_warm.wait(10)
        assert published == [INTERACTIVE]
    finally:
        gc.enable()
        gc.unfreeze()
