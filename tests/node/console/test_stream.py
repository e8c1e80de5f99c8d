from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from node.console.sources.stream import MOST_BYTES, Frame, Splitter

BYTES = b'retry: 1000\n\nid: 10\ndata: {"a":1}\n\n: still here\n\nid: 25\r\ndata: {"b":2}\r\n\r\n'
FRAMES = [Frame(10, b'{"a":1}'), Frame(25, b'{"b":2}')]


@given(st.lists(st.integers(0, len(BYTES)), max_size=8))
def test_frames_are_the_same_wherever_the_bytes_are_cut(cuts):
    places = [0, *sorted(cuts), len(BYTES)]
    splitter, frames = Splitter(), []
    for start, stop in pairwise(places):
        frames += splitter.feed(BYTES[start:stop])
    assert frames == FRAMES


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_break_the_splitter(pieces):
    splitter = Splitter()
    for piece in pieces:
        for frame in splitter.feed(piece):
            assert frame.id >= 0


def test_a_line_without_end_is_passed_over_in_bounded_memory():
    splitter = Splitter()
    for _ in range(40):
        assert splitter.feed(b"data: " + b"x" * 65_536) == []
        assert len(splitter._rest) <= MOST_BYTES
    assert splitter.feed(b"\n\n" + BYTES) == FRAMES


def test_a_frame_without_id_or_with_a_foreign_one_is_none():
    splitter = Splitter()
    assert splitter.feed(b"data: {}\n\nid: -3\ndata: {}\n\nid: 1e9\ndata: {}\n\nid: 7\n\n") == []
