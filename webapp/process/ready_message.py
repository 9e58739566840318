"""Says once on the terminal that the portal is ready, and where."""

import json
import sys
import time
import urllib.error
import urllib.request

from webapp.domain.settings import Settings

# Compiling the model for this processor takes seconds at the first start.
LONGEST_START_S = 180.0
# Until then nobody wonders why nothing is said.
FIRST_WORD_S = 15.0


def main() -> None:
    """Wait for /readyz, then print the address; or what is missing, by name."""
    address = f"http://{Settings.of_process().bind}"
    # By a name that is always answered: an address of all interfaces is nobody's name.
    asked = urllib.request.Request(f"{address}/readyz", headers={"Host": "localhost"})  # noqa: S310 - our own
    began, is_told = time.monotonic(), False
    answer: dict[str, str] = {}
    while time.monotonic() - began < LONGEST_START_S:
        try:
            with urllib.request.urlopen(asked, timeout=5):  # noqa: S310 - our own http address
                sys.stdout.write(f"Glioscope is ready: {address} (Ctrl-C stops it)\n")
                return
        except urllib.error.HTTPError as error:
            answer = _parts(error)
        except OSError:
            answer = {"web": "not answering yet"}
        if not is_told and time.monotonic() - began > FIRST_WORD_S:
            is_told = True
            sys.stdout.write(f"Glioscope is still waiting. {_missing(answer)}\n")
            sys.stdout.flush()
        time.sleep(0.2)
    sys.stdout.write(f"Glioscope is not ready after {LONGEST_START_S:g} s. {_missing(answer)}\n")


def _parts(error: urllib.error.HTTPError) -> dict[str, str]:
    try:
        return dict(json.load(error))
    except ValueError:
        return {"web": f"answers {error.code}"}


def _missing(answer: dict[str, str]) -> str:
    return "; ".join(f"{name}: {state}" for name, state in answer.items() if state not in ("ok", "unavailable"))


if __name__ == "__main__":
    main()
