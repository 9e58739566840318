"""Deflate streams of very many zeros, put together from one block: compressing them takes seconds."""

import zlib


def deflated(before: bytes, mebibytes: int, after: bytes = b"") -> bytes:
    """A raw stream (RFC 1951) of `before`, so many MiB of zeros, and `after`."""
    head, block, end = (_packed(data, zlib.Z_FULL_FLUSH) for data in (before, bytes(2**20), after))
    return head + mebibytes * block + end + _packed(b"", zlib.Z_FINISH)


def zlib_stream(mebibytes: int) -> bytes:
    """A stream with header and checksum (RFC 1950) of so many MiB of zeros."""
    checksum, zeros = 1, bytes(2**20)
    for _ in range(mebibytes):
        checksum = zlib.adler32(zeros, checksum)
    return b"\x78\xda" + deflated(b"", mebibytes) + checksum.to_bytes(4, "big")


def _packed(data: bytes, mode: int) -> bytes:
    """Blocks that refer to nothing before them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(mode)
