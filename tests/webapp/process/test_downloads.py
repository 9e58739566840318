"""The memory of a real gunicorn while zips are downloaded."""

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.resources import upload
from tests.support.scan_files import tiff
from tests.webapp.clients import finish
from tests.webapp.servers import WebServer, web_server

SLICES = 120
AT_ONCE = 2


def web_process(server: WebServer) -> psutil.Process:
    """The process that serves: the one child of gunicorn's arbiter."""
    return psutil.Process(server.process.pid).children()[0]


def download(server: WebServer, path: str, sizes: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    size = 0
    while piece := response.read(65536):
        size += len(piece)
    sizes.append(size)
    connection.close()


def most_memory(process: psutil.Process, server: WebServer, paths: list[str]) -> tuple[int, int, list[int]]:
    """Private bytes of the process before these downloads and at most during them, and the size of each."""
    sizes: list[int] = []
    before = most = process.memory_full_info().uss
    clients = [threading.Thread(target=download, args=(server, path, sizes)) for path in paths]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        most = max(most, process.memory_full_info().uss)
        time.sleep(0.05)
    return before, most, sizes


@pytest.mark.long
def test_zips_of_many_slices_take_no_memory(tmp_path: Path, figure: Callable[[str], None]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (SLICES, 256, 256), dtype=np.uint8)
    with web_server(tmp_path) as server:
        accepted = upload(server.resources, tiff(pixels), "stack.tif")
        finish(server.resources, accepted.segmentation_id)
        path = f"/api/v1/scans/{accepted.scan_id}/download.zip"
        server.exchange(f"GET {path[:-12]}panels.png HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        process = web_process(server)
        # Lesions are found once, in the labels of a box around all that is marked: here the whole stack.
        start, most_measuring, _ = most_memory(process, server, [f"{path[:-12]}measurements.json"])
        before, most, sizes = most_memory(process, server, [path] * AT_ONCE)
    assert len(sizes) == AT_ONCE
    figure(
        f"{AT_ONCE} zips of {SLICES} slices at once, {sizes[0] / 1e6:.0f} MB each: web {before / 1e6:.0f} MB before, "
        f"{most / 1e6:.0f} MB at most; measuring the lesions of all its voxels {start / 1e6:.0f} and"
        f" {most_measuring / 1e6:.0f} MB"
    )
    assert most - before < 64e6
    assert most_measuring - start < 64e6 + 8 * pixels.size
