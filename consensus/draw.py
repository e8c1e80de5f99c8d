"""Draws that every node makes for itself and that come out the same on all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_DRAW_BYTES = 8


def permutation(n: int, label: str) -> list[int]:
    """A uniform permutation of 0 … n−1 that depends on `label` alone.

    Fisher–Yates on SHA-256 in counter mode: peers with other machines and other versions of a library must draw the
    same, and a library's random stream is promised for one version at most.
    """
    draws = _draws(label)
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        bound = 2 ** (8 * _DRAW_BYTES) // (last + 1) * (last + 1)
        draw = next(draw for draw in draws if draw < bound)  # rejection: no remainder is likelier than another
        chosen = draw % (last + 1)
        order[last], order[chosen] = order[chosen], order[last]
    return order


def _draws(label: str) -> Iterator[int]:
    counter = 0
    while True:
        block = hashlib.sha256(f"grapevine/{label}/{counter}".encode()).digest()
        for start in range(0, len(block), _DRAW_BYTES):
            yield int.from_bytes(block[start : start + _DRAW_BYTES], "big")
        counter += 1
