"""Bytes that are known without being kept: the byte at offset n is n mod 256."""

import hashlib
from collections.abc import Iterator

_BLOCK = bytes(range(256)) * 256


def pattern(size: int) -> Iterator[bytes]:
    """The first ``size`` bytes, in parts of at most 64 KiB."""
    for _ in range(size // len(_BLOCK)):
        yield _BLOCK
    if rest := size % len(_BLOCK):
        yield _BLOCK[:rest]


def pattern_sha256(size: int) -> str:
    """The digest of the first ``size`` bytes."""
    digest = hashlib.sha256()
    for part in pattern(size):
        digest.update(part)
    return digest.hexdigest()
