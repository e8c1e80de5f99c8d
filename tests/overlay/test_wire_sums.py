from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.encrypted_messages import Ciphertext, Opened, RoundKey, Total
from consensus.masked_messages import Dealt, Decided, Hello, Lacking, Masked, Report, Revealed, Summed
from overlay.wire import Decoder, Limits, WireError, encode
from overlay.wire_sums import SUM_KINDS
from tests.overlay.test_wire import raw_frame

values = {
    "round": st.integers(0, 2**31 - 1),
    "stage": st.integers(0, 1),
    "fragment": st.integers(0, 255),
    "members": st.binary(min_size=32, max_size=32),
    "counted": st.binary(min_size=32, max_size=32),
    "key": st.binary(min_size=32, max_size=32),
    "signature": st.binary(min_size=64, max_size=64),
    "body": st.binary(max_size=300),
    "vector": st.integers(0, 50).map(lambda size: np.arange(size, dtype=np.float32)),
}
messages = st.one_of([st.builds(kind, **{item.name: values[item.name] for item in fields(kind)}) for kind in SUM_KINDS])
ONE_OF_EACH = [
    RoundKey(1, bytes(64), b"key"), Ciphertext(1, bytes(32), bytes(64), b"body"), Total(1, bytes(32), bytes(64), b"x"),
    Opened(1, bytes(32), bytes(64), np.ones(3, np.float32)), Hello(1, bytes(64), b"keys"), Dealt(1, b"box"),
    Report(1, 0, bytes(32), bytes(64)), Decided(1, 1, bytes(32), bytes(64)), Lacking(1, bytes(32), bytes(64)),
    Masked(1, 2, bytes(32), bytes(64), b"words"), Revealed(1, bytes(32), bytes(64), b"shares"),
    Summed(1, 255, bytes(32), bytes(64), b"sum"),
]  # fmt: skip


def frame(message):
    head, body = encode(message)
    return head + bytes(body)


def comparable(message):
    parts = (getattr(message, item.name) for item in fields(message))
    return type(message), *(bytes(part) if not isinstance(part, int) else part for part in parts)


@given(st.lists(messages, max_size=5), st.integers(1, 400))
def test_messages_come_out_the_same_however_the_bytes_are_cut(sent, step):
    data, decoder = b"".join(map(frame, sent)), Decoder()
    got = [message for start in range(0, len(data), step) for message in decoder.receive(data[start : start + step])]
    assert list(map(comparable, got)) == list(map(comparable, sent))


def test_every_kind_is_tried():
    assert {type(message) for message in ONE_OF_EACH} == set(SUM_KINDS)


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_field_out_of_its_range_is_refused_on_both_ends(message):
    for item in fields(message):
        wrong = {"round": 2**31, "stage": 2, "fragment": 256}.get(item.name, b"short" * 20)
        if item.name in ("body", "vector"):
            continue
        with pytest.raises(ValueError, match=item.name):
            encode(replace(message, **{item.name: wrong}))


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_a_body_beyond_the_limit_is_refused_before_it_comes(message):
    body = encode(message)[1].nbytes
    if body:
        with pytest.raises(WireError, match="at most"):
            Decoder(Limits(max_body=body - 1)).receive(frame(message)[: -body or None])
    else:
        with pytest.raises(WireError, match="body"):
            Decoder().receive(frame(message)[:8] + (1).to_bytes(8, "big") + frame(message)[16:] + b"x")


@settings(max_examples=150)
@given(st.sampled_from(ONE_OF_EACH), st.data())
def test_flipped_bytes_are_another_message_or_a_wire_error(message, data):
    broken = bytearray(frame(message))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(WireError):
        Decoder(Limits(max_body=1 << 20)).receive(bytes(broken))


def test_what_is_not_float32_is_our_own_mistake():
    for bad in (np.zeros(2), np.zeros((2, 2), np.float32), np.zeros(4, np.float32)[::2]):
        with pytest.raises(ValueError, match="float32"):
            encode(Opened(0, bytes(32), bytes(64), bad))
    header = {"kind": "opened", "round": 0, "counted": bytes(32), "signature": bytes(64)}
    with pytest.raises(WireError, match="items of 4"):
        Decoder().receive(raw_frame(header, b"abc"))


def test_bodies_are_read_only_views():
    (got,) = Decoder().receive(frame(Masked(0, 0, bytes(32), bytes(64), b"words")))
    assert got.body.readonly
