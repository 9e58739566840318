"""Rendered images, what was measured of a scan and its DICOM objects, in memory; the least recently used are dropped
first."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache


@dataclass(eq=False)
class _Making:
    """Bytes that are being made. is_deleted: what they are of is gone since."""

    key: str
    is_deleted: bool = False


class ImageCache:
    """PNG, JSON or DICOM bytes by a key that names their content: the bytes of a key never change. Thread-safe."""

    def __init__(self, max_bytes: int, kept_s: float | None = None) -> None:
        """kept_s: drop what was rendered longer ago, too; where another process deletes scans."""
        self._images: LRUCache[str, bytes] | TTLCache[str, bytes] = (
            LRUCache(max_bytes, getsizeof=len) if kept_s is None else TTLCache(max_bytes, kept_s, getsizeof=len)
        )
        self._lock = threading.Lock()
        self._making: set[_Making] = set()

    def get(self, key: str, render: Callable[[], bytes]) -> bytes:
        """The image, rendered where it is not in memory. Two threads may render the same one; the second is kept."""
        data = self.find(key)
        if data is None:
            with self.making(key) as keep:
                data = render()
                keep(data)
        return data

    def find(self, key: str) -> bytes | None:
        """What is in memory under the key."""
        with self._lock:
            return self._images.get(key)

    @contextmanager
    def making(self, key: str) -> Iterator[Callable[[bytes], None]]:
        """While the bytes of a key are made; they are given to what comes, once they are. Of a scan that is deleted in
        the meantime nothing is kept."""
        made = _Making(key)
        with self._lock:
            self._making.add(made)

        def keep(data: bytes) -> None:
            with self._lock, suppress(ValueError):  # larger than the whole cache
                if not made.is_deleted:
                    self._images[key] = data

        try:
            yield keep
        finally:
            with self._lock:
                self._making.discard(made)

    def delete(self, prefix: str) -> None:
        """Drop every image whose key starts so, those that are being made, too: of a deleted scan."""
        with self._lock:
            for made in self._making:
                made.is_deleted |= made.key.startswith(prefix)
            for key in [key for key in self._images if key.startswith(prefix)]:
                del self._images[key]
