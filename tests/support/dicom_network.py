"""Nodes of others for tests: a sender, and a real Orthanc on loopback."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, Association

from tests.support.portal_process import free_port

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60.0


@dataclass
class Orthanc:
    """A running archive: its ports, and a small client of its REST interface."""

    dicom_port: int
    http_port: int
    process: subprocess.Popen[bytes]

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            data = response.read()
        return json.loads(data) if response.headers["Content-Type"].startswith("application/json") else data

    def json(self, method: str, path: str, value: Any = None) -> Any:
        return self.call(method, path, None if value is None else json.dumps(value).encode())

    def add(self, files: Sequence[bytes]) -> None:
        for data in files:
            self.call("POST", "/instances", data)

    def studies(self) -> list[str]:
        return list(self.call("GET", "/studies"))

    def send(self, study: str, title: str) -> float:
        """Send a study by C-STORE, and wait; the seconds that it took. Raises HTTPError where it failed."""
        began = time.monotonic()
        body = json.dumps({"Resources": [study], "Synchronous": True}).encode()
        self.call("POST", f"/modalities/{title}/store", body)
        return time.monotonic() - began

    def instances(self, modality: str, study: str | None = None) -> list[Dataset]:
        """Those of a modality, of one study or of all."""
        found = []
        for item in self.call("GET", f"/studies/{study}/series" if study else "/series?expand"):
            if item["MainDicomTags"].get("Modality") == modality:
                for instance in item["Instances"]:
                    found.append(pydicom.dcmread(BytesIO(self.call("GET", f"/instances/{instance}/file"))))
        return found


@contextmanager
def running_orthanc(folder: Path, node_port: int, title: str = "GLIOSCOPE", **further: Any) -> Iterator[Orthanc]:
    """Start one over a folder, whose peer is our node, with further settings of its own; stop it."""
    if not Path(ORTHANC).exists() or not DICOMWEB_PLUGIN.exists():
        pytest.skip("no Orthanc: install the packages orthanc and orthanc-dicomweb")
    dicom_port, http_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "Archive", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(DICOMWEB_PLUGIN)], "DicomAet": "ARCHIVE", "DicomPort": dicom_port, "HttpPort": http_port,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckCalledAet": True,
        "DicomModalities": {"portal": [title, "127.0.0.1", node_port]}, "DicomAlwaysAllowStore": False,
        "OverwriteInstances": True, "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **further,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [ORTHANC, str(folder / "orthanc.json")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TZ": "UTC"},
        )
    archive = Orthanc(dicom_port, http_port, process)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                archive.call("GET", "/system")
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None and time.monotonic() < deadline, (folder / "orthanc.log").read_text()
                time.sleep(0.05)
        yield archive
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def association(port: int, *, title: str = "SENDER", called: str = "GLIOSCOPE") -> Iterator[Association]:
    """An association with our node, for MR images, PDFs and echoes; aborted where the block leaves it open."""
    entity = AE(ae_title=title)
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.104.1"):
        entity.add_requested_context(uid)
    made = entity.associate("127.0.0.1", port, ae_title=called)
    try:
        yield made
    finally:
        if made.is_established:
            made.abort()


def store(made: Association, data: bytes) -> int:
    """Send one file; the status of the answer."""
    return int(made.send_c_store(pydicom.dcmread(BytesIO(data))).Status)


def send_whole(port: int, files: Sequence[bytes], **options: str) -> list[int]:
    """Send files and release; the statuses."""
    with association(port, **options) as made:
        assert made.is_established
        statuses = [store(made, data) for data in files]
        made.release()
    return statuses
