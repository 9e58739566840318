"""Bounded parsing: 1,000 mutated files of every format end as a scan or a ScanError, in little memory and time."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ml.sandbox.decoder import Decoder
from ml.scans import ScanError
from ml.volumes.grid import VolumeGrid
from tests.ml.sandbox.gauge import peak_bytes
from tests.support import mutated_volumes, scan_files
from tests.support.mutated_files import mutated
from tests.support.structure_sets import FRAME

FILES = 1000
MAX_MEMORY_BYTES = 10**9
MAX_SECONDS = 10.0
SEED = 20261121


def broken_picture(index: int, generator: np.random.Generator) -> bytes:
    originals = list(scan_files.every_format().values())
    return mutated(originals[index % len(originals)], originals, generator)


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "kinds"),
    [(broken_picture, {"png", "tiff"}), (mutated_volumes.broken, {"nifti", "dicom", "limit"})],
    ids=["pictures", "volumes"],
)
def test_a_thousand_mutated_files_are_scans_or_scan_errors(tmp_path, figure, broken, kinds):
    generator = np.random.default_rng(SEED)
    decoder = Decoder(reader="tests.ml.sandbox.gauge:read", children=2)
    decoder.warm_up()
    server = decoder.server_pid

    def decode(job: tuple[int, bytes]) -> tuple[str, float, int | None]:
        index, data = job
        source = tmp_path / f"{index}"
        source.write_bytes(data)
        started = time.monotonic()
        try:
            decoded = decoder.decode(source, tmp_path / f"{index}.npy")
            outcome, said = decoded.format, decoded.warnings[-2 if "gray_repeated" in decoded.warnings else -1]
        except ScanError as error:
            outcome, said = error.code, error.message
        seconds = time.monotonic() - started
        (tmp_path / f"{index}.npy").unlink(missing_ok=True)
        return outcome, seconds, peak_bytes(said)

    jobs = [(index, broken(index, generator)) for index in range(FILES)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decode, jobs))

    peaks = [peak for _, _, peak in results if peak is not None]
    outcomes = Counter(outcome for outcome, _, _ in results)
    slowest = max(seconds for _, seconds, _ in results)
    largest = f"slowest {slowest:.2f} s; largest child {max(peaks) / 1e6:.0f} MB"
    figure(f"{FILES} mutated files ({broken.__name__}): {dict(outcomes)}; {largest}")
    assert decoder.server_pid == server, "the server lived through all of them"
    assert slowest < MAX_SECONDS
    assert max(peaks) < MAX_MEMORY_BYTES
    assert len(peaks) > FILES / 2
    assert set(outcomes) > {"unreadable", *kinds}
    decoder.close()
    assert not Path(f"/proc/{server}").exists()


@pytest.mark.long
def test_a_thousand_mutated_dicom_masks_are_masks_or_scan_errors(tmp_path, figure):
    generator = np.random.default_rng(SEED)
    decoder = Decoder(children=2)
    decoder.warm_up()
    server = decoder.server_pid
    grid = VolumeGrid.of(mutated_volumes.AFFINE, mutated_volumes.SHAPE, FRAME)
    columns, rows, slices = mutated_volumes.SHAPE

    def decode(job: tuple[int, bytes]) -> tuple[str, float]:
        index, data = job
        source, bits = tmp_path / f"{index}", tmp_path / f"{index}.npy"
        source.write_bytes(data)
        started = time.monotonic()
        try:
            decoded = decoder.decode_mask(source, bits, orientation=1, volume=(grid.to_json(), (slices, rows, columns)))
            outcome = "mask"
            assert (decoded.slice_count, decoded.height, decoded.width) == (slices, rows, columns)
        except ScanError as error:
            outcome = error.code
            assert not bits.exists()
        bits.unlink(missing_ok=True)
        return outcome, time.monotonic() - started

    jobs = [(index, mutated_volumes.broken_mask(index, generator)) for index in range(FILES)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decode, jobs))
    outcomes = Counter(outcome for outcome, _ in results)
    slowest = max(seconds for _, seconds in results)
    figure(f"{FILES} mutated DICOM masks: {dict(outcomes)}; slowest {slowest:.2f} s")
    assert decoder.server_pid == server, "the server lived through all of them"
    assert slowest < MAX_SECONDS
    assert set(outcomes) >= {"mask", "unreadable"}
    decoder.close()
