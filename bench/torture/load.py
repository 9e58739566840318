"""Many clients who upload and read at once: nothing fails, nothing is lost."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench.clients import Slice
from bench.figures import median, ms, p95
from bench.torture.outcome import FALLS_SHORT, HOLDS, Outcome, command_of
from tests.support.portal_process import RunningPortal

SENTENCE = "clients who upload and read at once meet no error and lose nothing"
# One action in so many is an upload.
UPLOAD_ONE_IN = 6
# A person looks at what came before they ask for more.
PAUSE_S = (0.5, 3.0)
DONE_S = 900.0


@dataclass
class Seen:
    """What the clients saw. errors: by what went wrong; scans: ids that were answered with 202."""

    reads_s: list[float] = field(default_factory=list)
    uploads_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    scans: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)


def measure(
    portal: RunningPortal, items: Sequence[Slice], clients: int, seconds: float, reads_p95_ms: float | None = None
) -> Outcome:
    """Let the clients work, then wait for every scan's end.

    reads_p95_ms: what 95 of 100 reads may take; None: no timing is judged.
    """
    seen, deadline = Seen(), time.monotonic() + seconds
    with ThreadPoolExecutor(clients) as pool:
        try:
            for future in [pool.submit(_work, portal, items, number, deadline, seen) for number in range(clients)]:
                future.result()
        except BaseException:
            seen.stopped.set()
            raise
    ends = Counter(portal.wait(scan_id, DONE_S)["segmentation"]["status"] for scan_id in seen.scans)
    lost = len(seen.scans) - ends["succeeded"]
    figures = [
        f"{clients} clients for {seconds:g} s: {len(seen.scans)} uploads, {len(seen.reads_s)} reads",
        f"errors {sum(seen.errors.values())} {dict(seen.errors) or ''}".strip(),
        f"lost {lost}",
    ]
    for name, taken in (("reads", seen.reads_s), ("uploads to 202", seen.uploads_s)):
        if taken:
            figures.append(f"{name} median {ms(median(taken))} ms, p95 {ms(p95(taken))} ms")
    holds = bool(seen.scans and seen.reads_s) and not seen.errors and not lost
    if reads_p95_ms is not None and seen.reads_s:
        figures.append(f"reads p95 below {reads_p95_ms:g} ms asked for")
        holds = holds and 1000 * p95(seen.reads_s) < reads_p95_ms
    return Outcome(
        "load",
        SENTENCE,
        command_of("load"),
        figures,
        HOLDS if holds else FALLS_SHORT,
    )


def _work(portal: RunningPortal, items: Sequence[Slice], number: int, deadline: float, seen: Seen) -> None:
    """One client until the deadline, or until it is stopped."""
    chance = random.Random(number)
    own: list[str] = []
    seen.stopped.wait(chance.uniform(0, PAUSE_S[1]))
    while time.monotonic() < deadline and not seen.stopped.is_set():
        is_upload = not own or chance.randrange(UPLOAD_ONE_IN) == 0
        began = time.perf_counter()
        try:
            if is_upload:
                name, data = chance.choice(items)
                scan = portal.upload(data, name)
                own.append(scan["id"])
            else:
                path = _page(chance, chance.choice(own))
                status, _ = portal.call("GET", path)
                # A picture of a scan that is not done yet is 409, as documented.
                assert status == 200 or (status == 409 and path.endswith(".png")), f"GET {status}"
        except (OSError, AssertionError) as error:
            with seen.lock:
                seen.errors[str(error)[:60] or type(error).__name__] += 1
        else:
            with seen.lock:
                (seen.uploads_s if is_upload else seen.reads_s).append(time.perf_counter() - began)
                if is_upload:
                    seen.scans.append(own[-1])
        seen.stopped.wait(chance.uniform(*PAUSE_S))


def _page(chance: random.Random, scan_id: str) -> str:
    return chance.choice(
        (
            "/scans",
            f"/scans/{scan_id}",
            "/api/v1/scans?limit=20",
            f"/api/v1/scans/{scan_id}",
            f"/api/v1/scans/{scan_id}/overlay.png",
            f"/api/v1/scans/{scan_id}/thumbnail.png",
        )
    )
