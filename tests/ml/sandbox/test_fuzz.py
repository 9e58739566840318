"""Bounded parsing: 1,000 mutated files of every format end as a scan or a ScanError, in little memory and time."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ml.sandbox.decoder import Decoder
from ml.scans import ScanError
from tests.ml.scans import samples

FILES = 1000
MAX_MEMORY_BYTES = 10**9
MAX_SECONDS = 10.0
SEED = 20261121


def _mutate(data: bytes, others: list[bytes], generator: np.random.Generator) -> bytes:
    """One to four changes of one of six kinds each: flipped bits, a cut, a splice, header fields, runs, a repeat."""
    changed = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        position = int(generator.integers(0, max(len(changed), 1)))
        match int(generator.integers(6)):
            case 0:
                for spot in generator.integers(0, max(len(changed), 1), 8):
                    if spot < len(changed):
                        changed[spot] ^= 1 << int(generator.integers(8))
            case 1:
                del changed[max(position, 12) :]
            case 2:
                other = others[generator.integers(len(others))]
                changed[position:] = other[int(generator.integers(len(other))) :]
            case 3:  # lengths, counts and offsets stand near the start (PNG, JPEG, WebP) or near the end (TIFF)
                edge = int(generator.integers(8, 400))
                spot = edge if generator.integers(2) else len(changed) - edge
                extreme = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x01")
                if 8 <= spot < len(changed) - 4:
                    changed[spot : spot + 4] = extreme[generator.integers(len(extreme))]
            case 4:
                changed[position : position + 64] = bytes(generator.integers(0, 256, 64, np.uint8))
            case _:
                changed[position:position] = changed[position : position + 256] * int(generator.integers(1, 20))
    return bytes(changed)


@pytest.mark.long
def test_a_thousand_mutated_files_are_scans_or_scan_errors(tmp_path, figure):
    generator = np.random.default_rng(SEED)
    originals = list(samples.every_format().values())
    decoder = Decoder(reader="tests.ml.sandbox.gauge:read", children=2)
    decoder.warm_up()
    server = decoder.server_pid
    gauges = tmp_path / "gauges"
    gauges.mkdir()

    def decode(job: tuple[int, bytes]) -> tuple[str, float]:
        index, data = job
        source = gauges / f"{index}"
        source.write_bytes(data)
        started = time.monotonic()
        try:
            outcome = decoder.decode(source, tmp_path / f"{index}.npy").format
        except ScanError as error:
            outcome = error.code
        seconds = time.monotonic() - started
        (tmp_path / f"{index}.npy").unlink(missing_ok=True)
        return outcome, seconds

    jobs = [(index, _mutate(originals[index % len(originals)], originals, generator)) for index in range(FILES)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decode, jobs))

    peaks = [int(path.read_text()) for path in gauges.glob("*.peak")]
    outcomes = Counter(outcome for outcome, _ in results)
    slowest = max(seconds for _, seconds in results)
    figure(f"{FILES} mutated files: {dict(outcomes)}; slowest {slowest:.2f} s; largest child {max(peaks) / 1e6:.0f} MB")
    assert decoder.server_pid == server, "the server lived through all of them"
    assert slowest < MAX_SECONDS
    assert max(peaks) < MAX_MEMORY_BYTES
    assert len(peaks) > FILES / 2
    assert set(outcomes) > {"unreadable", "png", "tiff"}
    decoder.close()
    assert not Path(f"/proc/{server}").exists()
