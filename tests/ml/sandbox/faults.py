"""Readers that misbehave, named by a test as the decode server's `reader`. The file's first word says how."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from ml.scans import Limits, Scan, read_scan


def read(path: Path, limits: Limits) -> Scan:
    """Do as the file says; an ordinary image is read."""
    word, *rest = path.read_bytes()[:40].split()
    match word:
        case b"eat":
            hoard = [np.ones(2**24) for _ in range(1000)]
            raise AssertionError(f"{len(hoard)} pieces of 128 MiB were given")
        case b"sleep":
            time.sleep(600)
        case b"starve":  # as on a machine whose processors others have
            time.sleep(float(rest[0]))
            return Scan(np.zeros((1, 16, 16, 3), np.uint8), "png", None, ())
        case b"spin":
            while True:
                pass
        case b"signal":
            os.kill(os.getpid(), int(rest[0]))
        case b"recurse":
            return read(path, limits) if _descend(0) else read_scan(path, limits)
        case b"leave":
            os._exit(0)
        case b"raise":
            raise BaseExceptionGroup("all at once", [KeyError("x"), SystemExit(3)])
        case b"exit":
            raise SystemExit(0)
        case b"huge":
            return Scan(np.zeros((1, 30000, 30000, 3), np.uint8), "png", None, ())
        case b"environment":
            names = ",".join(sorted(os.environ)).encode()
            pixels = np.zeros((1, 16, len(names), 3), np.uint8)
            pixels[0, 0, :, 0] = np.frombuffer(names, np.uint8)
            return Scan(pixels, "png", None, ())
        case b"files":
            count = 0
            while True:
                os.open("/dev/null", os.O_RDONLY)
                count += 1
    return read_scan(path, limits)


def _descend(depth: int) -> bool:
    return _descend(depth + 1)


SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM, signal.SIGBUS)
