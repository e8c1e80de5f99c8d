import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.beacon_messages import Inventory, Rumour, SeedProof
from consensus.relay_messages import Reached, Relayed
from overlay.wire import Decoder, Limits, WireError, encode
from tests.overlay.test_wire import split
from tests.overlay.test_wire_private import comparable, frame

rounds, places = st.integers(0, 2**31 - 1), st.integers(0, 4095)
signatures, bodies = st.binary(min_size=64, max_size=64), st.binary(max_size=300)
messages = st.one_of(
    st.builds(Relayed, rounds, places, places, st.integers(0, 4095), signatures, bodies),
    st.builds(Reached, rounds, st.integers(0, 1), bodies),
    st.builds(Rumour, rounds, st.integers(0, 127), st.integers(0, 63), signatures, bodies),
    st.builds(Inventory, rounds, bodies),
    st.builds(SeedProof, rounds, bodies),
)


@given(st.lists(messages, max_size=5), st.lists(st.integers(min_value=0), max_size=10))
def test_messages_come_out_the_same_however_the_bytes_are_cut(sent, cuts):
    decoder = Decoder()
    got = [message for piece in split(b"".join(map(frame, sent)), cuts) for message in decoder.receive(piece)]
    assert list(map(comparable, got)) == list(map(comparable, sent))


@given(messages, st.data())
@settings(max_examples=200)
def test_nothing_but_a_wire_error_comes_of_other_bytes(message, data):
    broken = bytearray(frame(message))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        Decoder(Limits(max_body=4096)).receive(bytes(broken))


@pytest.mark.parametrize(
    "message",
    [
        Relayed(0, 4096, 0, 0, bytes(64), b""),
        Relayed(0, 0, 4096, 0, bytes(64), b""),
        Relayed(0, 0, 0, 4096, bytes(64), b""),
        Relayed(2**31, 0, 0, 0, bytes(64), b""),
        Relayed(0, 0, 0, 0, bytes(63), b""),
        Reached(-1, 0, b""),
        Reached(0, 2, b""),
        Rumour(0, 128, 0, bytes(64), b""),
        Rumour(0, 0, 64, bytes(64), b""),
        Inventory(2**31, b""),
    ],
    ids=repr,
)
def test_what_no_peer_would_accept_does_not_leave(message):
    with pytest.raises(ValueError, match="must be"):
        encode(message)
