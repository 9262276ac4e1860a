"""Test data that is cheap to make, never repeats, and whose hash both ends can name."""

import functools
import hashlib
import random

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_NOISE = random.Random(2).randbytes(64 * KIB)


def blocks(total):
    """`total` bytes in pieces of at most 64 KiB; each begins with its position, so a lost or swapped one is seen."""
    position = 0
    while position < total:
        size = min(len(_NOISE), total - position)
        yield (position.to_bytes(8, "big") + _NOISE)[:size]
        position += size


def data(total):
    """All of `blocks(total)` at once."""
    return b"".join(blocks(total))


@functools.cache
def sha256_of(total):
    """The hash of `blocks(total)`."""
    return sha256(blocks(total))


def sha256(pieces):
    """The hash of many pieces."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
