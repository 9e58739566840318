"""Rendered images, what was measured of a scan and its DICOM objects, in memory; the least recently used are dropped
first."""

import threading
from collections.abc import Callable
from contextlib import suppress

from cachetools import LRUCache, TTLCache


class ImageCache:
    """PNG, JSON or DICOM bytes by a key that names their content: the bytes of a key never change. Thread-safe."""

    def __init__(self, max_bytes: int, kept_s: float | None = None) -> None:
        """kept_s: drop what was rendered longer ago, too; where another process deletes scans."""
        self._images: LRUCache[str, bytes] | TTLCache[str, bytes] = (
            LRUCache(max_bytes, getsizeof=len) if kept_s is None else TTLCache(max_bytes, kept_s, getsizeof=len)
        )
        self._lock = threading.Lock()

    def get(self, key: str, render: Callable[[], bytes]) -> bytes:
        """The image, rendered where it is not in memory. Two threads may render the same one; the second is kept."""
        data = self.find(key)
        if data is None:
            data = render()
            self.keep(key, data)
        return data

    def find(self, key: str) -> bytes | None:
        """What is in memory under the key."""
        with self._lock:
            return self._images.get(key)

    def keep(self, key: str, data: bytes) -> None:
        """Put bytes that were made elsewhere under the key."""
        with self._lock, suppress(ValueError):  # larger than the whole cache
            self._images[key] = data

    def delete(self, prefix: str) -> None:
        """Drop every image whose key starts so: those of a deleted scan."""
        with self._lock:
            for key in [key for key in self._images if key.startswith(prefix)]:
                del self._images[key]
