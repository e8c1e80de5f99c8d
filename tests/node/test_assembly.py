"""What a node is put together with."""

from types import SimpleNamespace

import pytest

from consensus import beacon
from node import journal_file
from node.assembly import _face_of, most_bytes_of
from node.feed import Feed
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


async def test_a_node_without_an_api_says_that_it_has_none(tmp_path):
    with journal_file.Journal.open(tmp_path / "journal.jsonl") as book:
        feed, told = Feed(book), []
        feed.attach(lambda event, _: told.append(event))
        async with _face_of(SimpleNamespace(api=None), None)(feed, None):
            ((module, status, reason),) = [(event.module, event.status, event.reason) for event in told]
    assert (module, status) == ("api", "off")
    assert "--api" in reason
