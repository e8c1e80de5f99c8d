from __future__ import annotations

import contextlib
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.meeting_messages import BaseCopy, BaseWanted, ChannelKeyNotice, Standing
from consensus.private_messages import Bundle, Fetch, Item, Portion, Sealed, Stage, Vote
from crypto.sealing import PUBLIC_BYTES
from overlay.wire import Decoder, Limits, WireError, encode
from tests.overlay.test_wire import split

rounds, stages, members = st.integers(0, 2**31 - 1), st.integers(0, 8), st.integers(0, 255)
signatures, bodies = st.binary(min_size=64, max_size=64), st.binary(max_size=300)
OWNER = "1" * 52
owners = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=52, max_size=52)
messages = st.one_of(
    st.builds(Sealed, rounds, stages, bodies),
    st.builds(Item, rounds, stages, members, signatures, bodies),
    st.builds(
        Vote, rounds, stages, st.integers(0, 512), st.integers(0, 1), st.binary(min_size=32, max_size=32), signatures
    ),
    st.builds(Bundle, rounds, stages, st.integers(0, 512), st.integers(0, 3), bodies),
    st.builds(Fetch, rounds, stages, members),
    st.builds(ChannelKeyNotice, owners, rounds, signatures, st.binary(min_size=PUBLIC_BYTES, max_size=PUBLIC_BYTES)),
    st.builds(Standing, rounds, st.binary(min_size=32, max_size=32), rounds),
    st.builds(BaseWanted, rounds, st.binary(min_size=32, max_size=32)),
    st.builds(BaseCopy, rounds, st.binary(max_size=300).map(lambda body: body[: len(body) // 4 * 4])),
    st.builds(Portion, rounds, members, members, st.integers(0, 1), signatures, bodies),
)


def frame(message: object) -> bytes:
    head, body = encode(message)  # type: ignore[arg-type]
    return head + bytes(body)


def comparable(message: object) -> object:
    parts = [getattr(message, item.name) for item in fields(message)]  # type: ignore[arg-type]
    return type(message), [bytes(part) if isinstance(part, memoryview) else part for part in parts]


@given(st.lists(messages, max_size=5), st.lists(st.integers(min_value=0), max_size=10))
def test_messages_come_out_the_same_however_the_bytes_are_cut(sent, cuts):
    decoder = Decoder()
    got = [message for piece in split(b"".join(map(frame, sent)), cuts) for message in decoder.receive(piece)]
    assert list(map(comparable, got)) == list(map(comparable, sent))


@given(messages, st.data())
@settings(max_examples=300)
def test_nothing_but_a_wire_error_comes_of_other_bytes(message, data):
    broken = bytearray(frame(message))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        Decoder(Limits(max_body=4096)).receive(bytes(broken))


@pytest.mark.parametrize(
    "message",
    [
        Sealed(-1, 0, b""),
        Sealed(0, max(Stage) + 1, b""),
        Item(0, 0, 256, bytes(64), b""),
        Item(0, 0, 0, bytes(63), b""),
        Vote(0, 0, 0, 2, bytes(32), bytes(64)),
        Vote(0, 0, 0, 0, bytes(31), bytes(64)),
        Vote(0, 0, 513, 0, bytes(32), bytes(64)),
        Bundle(0, 0, 0, 4, b""),
        Fetch(0, 0, -1),
        Standing(0, bytes(31), 0),
        ChannelKeyNotice(OWNER, 0, bytes(63), bytes(PUBLIC_BYTES)),
        ChannelKeyNotice(OWNER, -1, bytes(64), bytes(PUBLIC_BYTES)),
        ChannelKeyNotice(OWNER[1:], 0, bytes(64), bytes(PUBLIC_BYTES)),
        ChannelKeyNotice("é" * 52, 0, bytes(64), bytes(PUBLIC_BYTES)),
        Portion(0, 0, 0, 2, bytes(64), b""),
    ],
)
def test_what_no_peer_would_accept_is_not_sent(message):
    with pytest.raises(ValueError, match="must be"):
        encode(message)


@pytest.mark.parametrize("message", [Vote(0, 0, 0, 0, bytes(32), bytes(64)), Fetch(0, 0, 0)])
def test_a_kind_without_a_body_has_none(message):
    broken = bytearray(frame(message)) + b"x"
    broken[15] = 1
    with pytest.raises(WireError, match="cannot have a body"):
        Decoder().receive(bytes(broken))


def test_bodies_are_not_copied():
    body = bytearray(1000)
    assert encode(Sealed(0, 0, memoryview(body)))[1].obj is body
    (got,) = Decoder().receive(frame(replace(Sealed(0, 0, b"abc"))))
    assert isinstance(got, Sealed)
    assert isinstance(got.body, memoryview)
    assert got.body.readonly


@pytest.mark.parametrize(
    "message",
    [
        ChannelKeyNotice(OWNER, 0, bytes(64), b""),
        ChannelKeyNotice(OWNER, 0, bytes(64), bytes(2 * PUBLIC_BYTES)),
        BaseCopy(0, b"five!"),
    ],
)
def test_bodies_of_another_size_are_not_sent(message):
    with pytest.raises(ValueError, match="body of"):
        encode(message)
