"""What a node is put together with."""

from types import SimpleNamespace

import pytest

from consensus import beacon
from node.assembly import most_bytes_of
from overlay.relay import FRAME_BYTES


def topology(n: int, *, drawn: bool) -> SimpleNamespace:
    return SimpleNamespace(nodes=range(n), plan=SimpleNamespace(drawn=drawn))


@pytest.mark.parametrize("body", [100, 100_000])
def test_the_wire_lets_the_longest_message_through(body):
    """The proofs of a beacon too: a node that sends one longer than allowed is turned away."""
    guard = SimpleNamespace(most_bytes=body)
    assert most_bytes_of(topology(64, drawn=True), 10, None) == 40
    assert most_bytes_of(topology(64, drawn=False), 10, guard) == body
    assert most_bytes_of(topology(64, drawn=True), 10, guard) == max(body + FRAME_BYTES, beacon.most_bytes(64))
