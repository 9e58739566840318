"""Valid files with a few random changes, for the tests of bounded parsing."""

import numpy as np


def mutated(data: bytes, others: list[bytes], generator: np.random.Generator) -> bytes:
    """One to four changes of one of six kinds each: flipped bits, a cut, a splice, header fields, runs, a repeat."""
    changed = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        position = int(generator.integers(0, max(len(changed), 1)))
        match int(generator.integers(6)):
            case 0:
                for spot in generator.integers(0, max(len(changed), 1), 8):
                    if spot < len(changed):
                        changed[spot] ^= 1 << int(generator.integers(8))
            case 1:
                del changed[max(position, 12) :]
            case 2:
                other = others[generator.integers(len(others))]
                changed[position:] = other[int(generator.integers(len(other))) :]
            case 3:  # lengths, counts and offsets stand near the start (PNG, JPEG, WebP) or near the end (TIFF)
                edge = int(generator.integers(8, 400))
                spot = edge if generator.integers(2) else len(changed) - edge
                extreme = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x01")
                if 8 <= spot < len(changed) - 4:
                    changed[spot : spot + 4] = extreme[generator.integers(len(extreme))]
            case 4:
                changed[position : position + 64] = bytes(generator.integers(0, 256, 64, np.uint8))
            case _:
                changed[position:position] = changed[position : position + 256] * int(generator.integers(1, 20))
    return bytes(changed)
