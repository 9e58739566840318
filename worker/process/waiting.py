"""Waiting at the start for what the processes of a portal need of others: said once, and looked for again."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


def wait_until(
    check: Callable[[], None], faults: tuple[type[Exception], ...], name: str, pause_s: float, stopped: threading.Event
) -> None:
    """Come back when `check` raises none of the faults any more, or when `stopped`. name: of what is waited for."""
    said = ""
    while not stopped.is_set():
        try:
            check()
            return
        except faults as error:
            if str(error) != said:
                said = str(error)
                logger.warning("waiting for the %s: %s", name, said)
        stopped.wait(pause_s)
