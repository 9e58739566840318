"""How often one address asks, counted in the memory of the web process, of which there is one."""

import ipaddress
import threading
import time
from collections.abc import Callable

from cachetools import TTLCache

# Addresses that are remembered; a crowd beyond it makes the first of them count anew.
MOST_ADDRESSES = 20_000
# What a provider gives one customer (RFC 6177): within it, addresses cost nothing.
_V6_PREFIX = 64


class RateLimit:
    """At most so many in a window, which begins with the first. Thread-safe."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._window_s, self._clock = most, window_s, clock
        self._counts: TTLCache[str, tuple[int, float]] = TTLCache(MOST_ADDRESSES, window_s, clock)
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """Count one, and say for how many seconds the next is refused: 0 where this one is allowed."""
        key = network_of(address)
        with self._lock:
            now = self._clock()
            count, ends_at = self._counts.get(key, (0, now))
            if ends_at <= now:  # the cache keeps an entry for a window after its last count, not after its first
                count, ends_at = 0, now + self._window_s
            if count >= self._most:
                return max(1.0, ends_at - now)
            self._counts[key] = (count + 1, ends_at)
            return 0.0


def network_of(address: str) -> str:
    """What is counted for one: an IPv4 address, the /64 of an IPv6 address, else the text."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _V6_PREFIX), strict=False))
