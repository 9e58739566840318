"""1,000 mutated files of every format over HTTP: each is taken or refused with a sentence, and the portal lives."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from flask import Flask

from tests.support import mutated_volumes, scan_files
from tests.support.mutated_files import mutated
from tests.webapp.clients import SCANS, resources_of, send, traces

FILES, VOLUMES, AT_ONCE = 1000, 500, 10
SEED = 20261122


@pytest.mark.long
def test_a_thousand_mutated_files_over_http(app: Flask, figure: Callable[[str], None]) -> None:
    generator = np.random.default_rng(SEED)
    originals = list(scan_files.every_format().values())
    resources, client = resources_of(app), app.test_client()
    resources.decoder.warm_up()
    server = resources.decoder.server_pid
    outcomes: Counter[str] = Counter()
    seconds = []
    for start in range(0, FILES, AT_ONCE):
        names = [f"{index}.img" for index in range(start, start + AT_ONCE)]
        files = [(name, mutated(originals[int(name[:-4]) % len(originals)], originals, generator)) for name in names]
        began = time.monotonic()
        response = send(client, *files)
        seconds.append(time.monotonic() - began)
        assert response.status_code in (202, 413, 415, 422), response.json
        for scan in response.json.get("scans", []):
            outcomes[scan["format"]] += 1
            assert client.get(f"{SCANS}/{scan['id']}/scan.png").status_code == 200
        for item in response.json.get("rejected", []):
            outcomes[item["code"]] += 1
            assert item["filename"] in names and item["message"].endswith(".")
    figure(
        f"{FILES} mutated files over HTTP: {dict(outcomes)}; "
        f"{sum(seconds):.0f} s in all, slowest request of {AT_ONCE} files {max(seconds):.2f} s"
    )
    assert sum(outcomes.values()) == FILES
    assert resources.decoder.server_pid == server, "the decode server lived through all of them"
    left = traces(app)
    accepted = sum(outcomes[kind] for kind in ("png", "jpeg", "tiff", "webp"))
    assert left.scans == left.segmentations == accepted
    assert len(left.files) == 2 * accepted, "nothing of the refused ones, nothing temporary"


@pytest.mark.long
def test_broken_volumes_over_http(app: Flask, figure: Callable[[str], None]) -> None:
    """DICOM files of one request are sorted and read together, so that a broken one stands beside good ones."""
    generator = np.random.default_rng(SEED)
    resources, client = resources_of(app), app.test_client()
    resources.decoder.warm_up()
    server = resources.decoder.server_pid
    outcomes: Counter[str] = Counter()
    slowest, stored = 0.0, 0
    for start in range(0, VOLUMES, AT_ONCE):
        files = [(f"v{index}", mutated_volumes.broken(index, generator)) for index in range(start, start + AT_ONCE)]
        began = time.monotonic()
        response = send(client, *files)
        slowest = max(slowest, time.monotonic() - began)
        assert response.status_code in (202, 413, 415, 422), response.json
        for scan in response.json.get("scans", []):
            stored += 1
            outcomes[scan["format"]] += 1
            assert client.get(f"{SCANS}/{scan['id']}/scan.png").status_code == 200
        for item in response.json.get("rejected", []):
            outcomes[item["code"]] += 1
            assert item["message"].endswith(".")
    figure(f"{VOLUMES} broken volumes over HTTP: {dict(outcomes)}; slowest request of {AT_ONCE} files {slowest:.2f} s")
    assert resources.decoder.server_pid == server, "the decode server lived through all of them"
    left = traces(app)
    assert left.scans == left.segmentations == stored
    assert len(left.files) == 2 * stored, "nothing of the refused ones, nothing temporary"
