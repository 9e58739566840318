"""How often the tests repeat what a promise counts: few times in an ordinary run, as promised by `make torture`."""

import os


def repeated(few: int, promised: int) -> int:
    """`promised` where GLIOSCOPE_TEST_PROMISED is set, else `few`."""
    return promised if os.environ.get("GLIOSCOPE_TEST_PROMISED") else few
