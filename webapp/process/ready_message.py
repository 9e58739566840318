"""Says once on the terminal that the portal is ready, and where."""

import json
import sys
import time
import urllib.error
import urllib.request

from webapp.domain.settings import Settings

# Compiling the model for this processor takes seconds at the first start.
LONGEST_START_S = 180.0


def main() -> None:
    """Wait for /readyz, then print the address; or what is missing, by name."""
    address = f"http://{Settings.from_environment().bind}"
    deadline = time.monotonic() + LONGEST_START_S
    answer: dict[str, str] = {}
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):  # noqa: S310 - our own http address
                sys.stdout.write(f"Glioscope is ready: {address} (Ctrl-C stops it)\n")
                return
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        except OSError:
            answer = {"web": "not answering yet"}
        time.sleep(0.2)
    missing = "; ".join(f"{name}: {state}" for name, state in answer.items() if state not in ("ok", "unavailable"))
    sys.stdout.write(f"Glioscope is not ready after {LONGEST_START_S:g} s. {missing}\n")


if __name__ == "__main__":
    main()
