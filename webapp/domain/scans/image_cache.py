"""Rendered pictures kept in memory, the least recently used dropped first."""

import threading
from collections import OrderedDict
from collections.abc import Callable


class PictureCache:
    """PNG bytes by a key that names content: a key's bytes never change. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, render: Callable[[], bytes]) -> bytes:
        """The picture, rendered where it is not kept. Two threads may render one picture at once; that is harmless."""
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        data = render()
        with self._lock:
            if key not in self._pictures and len(data) <= self._max_bytes:
                self._pictures[key] = data
                self._held_bytes += len(data)
            while self._held_bytes > self._max_bytes:
                _, dropped = self._pictures.popitem(last=False)
                self._held_bytes -= len(dropped)
        return data

    def forget(self, prefix: str) -> None:
        """Drop every picture whose key starts so: those of a deleted scan."""
        with self._lock:
            for key in [key for key in self._pictures if key.startswith(prefix)]:
                self._held_bytes -= len(self._pictures.pop(key))
