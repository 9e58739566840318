"""What reads images, imported once in the server so that each child has it: readers, and the codecs they load late.

imagecodecs would otherwise load its codecs one by one in every child, and Pillow its formats.
"""

import contextlib
from importlib import import_module

from ml.scans.formats import FORMATS

_CODECS = ("imcd", "shared", "png", "zlib", "deflate", "lzw", "jpeg8")


def preload_readers() -> None:
    """Import the readers of `ml.scans.formats` with their codecs."""
    for entry in FORMATS:
        import_module(entry.module)
    for codec in _CODECS:
        with contextlib.suppress(ImportError):  # not in every build of imagecodecs; then the child finds out
            import_module(f"imagecodecs._{codec}")
    import PIL.Image

    PIL.Image.preinit()
    import_module("PIL.WebPImagePlugin")
