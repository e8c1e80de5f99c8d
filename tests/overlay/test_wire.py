from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from consensus.messages import Contribution, Unchanged, Unheard
from overlay.wire import Decoder, Greeting, Limits, Message, Ping, Pong, WireError, encode

digests = st.binary(min_size=32, max_size=32)
nonces = st.integers(0, 2**64 - 1)
vectors = npst.arrays(np.float32, st.integers(0, 300))  # NaN and infinities included: they are not a matter of the wire
messages = st.one_of(
    st.builds(Greeting, digests, digests),
    st.builds(Ping, nonces),
    st.builds(Pong, nonces),
    st.builds(Contribution, st.integers(0, 2**31 - 1), st.integers(0, 31), vectors),
    st.builds(Unchanged, st.integers(0, 2**31 - 1), digests),
    st.builds(Unheard, st.integers(0, 2**31 - 1)),
)


def frame(message: Message) -> bytes:
    head, body = encode(message)
    return head + bytes(body)


def raw_frame(header: object, body: bytes = b"", version: int = 1, magic: bytes = b"GRV") -> bytes:
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    return struct.pack("!3sBIQ", magic, version, len(packed), len(body)) + packed + body


def comparable(message: Message) -> object:
    """Bit for bit, for NaN differs from itself."""
    if isinstance(message, Contribution):
        return message.round, message.phase, message.vector.tobytes()
    return message


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


# -- what an honest peer sends --------------------------------------------------------------------------------------


def test_the_bytes_of_version_1():
    head, body = encode(Contribution(7, 2, np.array([1.0, -2.0], np.float32)))
    assert head.hex(" ", -4) == (
        "47525601 0000002f 00000000 00000008 84a46b69 6e64ac63 6f6e7472 69627574 696f6ea5 726f756e 6407a570 68617365"
        " 02a56474 797065a7 666c6f61 743332"
    )
    assert bytes(body).hex() == "0000803f000000c0"


@given(st.lists(messages, max_size=6), st.lists(st.integers(min_value=0), max_size=12))
def test_messages_come_out_the_same_however_the_bytes_are_cut(sent, cuts):
    data = b"".join(map(frame, sent))
    decoder = Decoder()
    got = [message for piece in split(data, cuts) for message in decoder.receive(piece)]
    assert list(map(comparable, got)) == list(map(comparable, sent))
    assert decoder.wanted == 16


@given(messages)
def test_one_byte_at_a_time(message):
    decoder = Decoder()
    data = frame(message)
    got = [decoder.receive(data[i : i + 1]) for i in range(len(data))]
    assert [list(map(comparable, part)) for part in got] == [[]] * (len(data) - 1) + [[comparable(message)]]


@given(messages)
def test_wanted_leads_from_prefix_to_header_to_body(message):
    data, decoder, asked = frame(message), Decoder(), []
    while data:
        asked.append(decoder.wanted)
        decoder.receive(data[: decoder.wanted])
        data = data[asked[-1] :]
    head, body = encode(message)
    assert asked == [16, len(head) - 16, *([body.nbytes] if body.nbytes else [])]


@given(messages)
def test_the_buffer_of_the_caller_may_be_reused(message):
    buffer = bytearray(frame(message))
    (got,) = Decoder().receive(buffer)
    buffer[:] = bytes(len(buffer))
    assert comparable(got) == comparable(message)


def test_the_body_is_not_copied_on_the_way_out():
    vector = np.arange(1000, dtype=np.float32)
    _, body = encode(Contribution(0, 0, vector))
    assert np.shares_memory(np.frombuffer(body, np.float32), vector)


def test_the_body_is_copied_once_on_the_way_in():
    size = 8 * 2**20
    data = frame(Contribution(0, 0, np.ones(size // 4, np.float32)))
    decoder = Decoder()
    tracemalloc.start()
    try:
        for start in range(0, len(data), 65536):
            got = decoder.receive(memoryview(data)[start : start + 65536])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(got) == 1
    assert size <= peak < size + 100_000


def test_a_received_vector_is_contiguous_aligned_and_read_only():
    (got,) = Decoder().receive(frame(Contribution(1, 0, np.ones(5, np.float32))))
    assert isinstance(got, Contribution)
    assert got.vector.dtype == np.float32
    assert got.vector.flags.c_contiguous
    assert got.vector.flags.aligned
    with pytest.raises(ValueError, match="read-only"):
        got.vector[0] = 2


def test_messages_of_one_chunk_do_not_share_memory():
    data = frame(Contribution(1, 0, np.ones(5, np.float32))) * 2
    one, other = Decoder().receive(data)
    assert isinstance(one, Contribution)
    assert isinstance(other, Contribution)
    assert not np.shares_memory(one.vector, other.vector)


# -- our own mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (Contribution(-1, 0, np.zeros(1, np.float32)), r"contribution\.round must be an integer from 0 to 2147483647"),
        (Contribution(2**31, 0, np.zeros(1, np.float32)), r"contribution\.round"),
        (Contribution(0, 32, np.zeros(1, np.float32)), r"contribution\.phase must be an integer from 0 to 31, got 32"),
        (Contribution(0, 0, np.zeros(1, np.float64)), "float64"),
        (Contribution(0, 0, np.zeros((2, 2), np.float32)), r"\(2, 2\)"),
        (Contribution(0, 0, np.zeros(4, np.float32)[::2]), "contiguous"),
        (Ping(-1), r"ping\.nonce"),
        (Pong(2**64), r"pong\.nonce"),
        (Greeting(b"short", bytes(32)), r"greeting\.swarm must be 32 bytes"),
    ],
)
def test_a_message_that_no_peer_would_accept_is_not_encoded(message, what):
    with pytest.raises(ValueError, match=what):
        encode(message)


# -- what a hostile peer sends ----------------------------------------------------------------------------------------

GOOD = {"kind": "contribution", "round": 1, "phase": 0, "dtype": "float32"}
DEEP = b"\x81\xa1a" * 1500 + b"\xc0"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GET / HTTP/1.1\r\n", "not a frame"),
        (raw_frame(GOOD, version=2), "wire version 2, ours is 1"),
        (raw_frame(GOOD, version=0), "wire version 0, ours is 1"),
        (raw_frame(b""), "header of 0 bytes"),
        (raw_frame(b"\xc0" * 4097), "header of 4097 bytes, 1 to 4096"),
        (raw_frame({**GOOD, "kind": "gossip"}), "kind 'gossip', known are greeting, ping, pong, contribution"),
        (raw_frame({**GOOD, "kind": 7}), "kind 7"),
        (raw_frame({**GOOD, "kind": ["contribution"]}), "bad header"),
        (raw_frame({"round": 1}), "kind None"),
        (raw_frame([1, 2]), "bad header"),
        (raw_frame(5), "kind None"),
        (raw_frame({**GOOD, "trust": 1}), "has the fields round, phase, dtype; got"),
        (raw_frame({"kind": "contribution", "round": 1, "phase": 0}), "has the fields"),
        (raw_frame({**GOOD, "round": True}), "round must be an integer from 0 to 2147483647, got True"),
        (raw_frame({**GOOD, "round": 1.0}), r"round .* got 1\.0"),
        (raw_frame({**GOOD, "round": -1}), "round .* got -1"),
        (raw_frame({**GOOD, "round": 2**31}), "round .* got 2147483648"),
        (raw_frame({**GOOD, "phase": 32}), "phase .* got 32"),
        (raw_frame({**GOOD, "dtype": "float64"}), "dtype must be 'float32'"),
        (raw_frame({**GOOD, "dtype": {"a": 1}}), "nests maps"),
        (raw_frame(GOOD, b"12345"), "body of 5 bytes"),
        (raw_frame({"kind": "ping", "nonce": 1}, b"1234"), "body of 4 bytes"),
        (raw_frame({"kind": "greeting", "swarm": "x" * 32, "layout": bytes(32)}), "swarm must be 32 bytes"),
        (raw_frame({"kind": "greeting", "swarm": bytes(31), "layout": bytes(32)}), "swarm must be 32 bytes"),
        (raw_frame(b"\x82\xa4kind\xa4ping\xa4kind\xa4pong"), "repeats a key"),
        (raw_frame(b"\x81\x01\x02"), "bad header"),
        (raw_frame(b"\x82\xa4kind\xa4ping\xc4\x05nonce\x01"), "has the fields nonce; got"),
        (raw_frame(b"\x81\xa4kind\xa2\xff\xfe"), "bad header"),
        (raw_frame(b"\xdf\xff\xff\xff\xff"), "bad header"),
        (raw_frame(b"\xdb\xff\xff\xff\xff"), "bad header"),
        (raw_frame(b"\xdd\xff\xff\xff\xff"), "bad header"),
        (raw_frame(b"\xc1"), "bad header"),
        (raw_frame(b"\xd6\xff\x00\x00\x00\x00"), "bad header"),
        (raw_frame(msgpack.packb(GOOD) + b"\x00"), "bad header"),
        (raw_frame(msgpack.packb(GOOD)[:-1]), "bad header"),
        (struct.pack("!3sBIQ", b"GRV", 1, len(DEEP), 0) + DEEP, "header"),
        (raw_frame(b"\x81\xa1a" * 1300 + b"\xc0"), "bad header"),
        (raw_frame(b"\x91" * 4000 + b"\xc0"), "bad header"),
    ],
)
def test_what_is_wrong_is_named(data, what):
    with pytest.raises(WireError, match=what):
        Decoder().receive(data)


def test_a_peers_text_is_quoted_short_and_on_one_line():
    with pytest.raises(WireError) as caught:
        Decoder().receive(raw_frame({**{f"key\n{i}": i for i in range(12)}, "kind": "ping"}))
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack("!3sBIQ", b"GRV", 1, 2**30, 0),
        struct.pack("!3sBIQ", b"GRV", 1, 64, 2**30),
        struct.pack("!3sBIQ", b"GRV", 1, 2**32 - 1, 2**64 - 1),
    ],
)
def test_a_gigabyte_that_is_announced_is_not_allocated(prefix):
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="are allowed"):
            Decoder().receive(prefix)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_body_is_allocated_only_for_a_good_header():
    limits = Limits(max_body=2**29)
    packed = msgpack.packb({"kind": "ping", "nonce": 1})
    tracemalloc.start()
    try:
        decoder = Decoder(limits)
        with pytest.raises(WireError, match="body of 536870912 bytes"):
            decoder.receive(struct.pack("!3sBIQ", b"GRV", 1, len(packed), 2**29) + packed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_the_limits_are_inclusive():
    limits = Limits(max_body=400)
    assert Decoder(limits).receive(frame(Contribution(0, 0, np.zeros(100, np.float32))))
    with pytest.raises(WireError, match="body of 404 bytes, at most 400"):
        Decoder(limits).receive(frame(Contribution(0, 0, np.zeros(101, np.float32))))


def test_an_error_is_final():
    decoder = Decoder()
    with pytest.raises(WireError, match="not a frame") as first:
        decoder.receive(bytes(16))
    for data in (b"", frame(Ping(1))):
        with pytest.raises(WireError) as again:
            decoder.receive(data)
        assert str(again.value) == str(first.value)


def decode_all(data: bytes, cuts: list[int]) -> list[Message]:
    """Whatever comes out; a test fails by any exception other than WireError."""
    decoder, got = Decoder(Limits(max_header=512, max_body=2**16)), []
    try:
        for piece in split(data, cuts):
            got += decoder.receive(piece)
            assert 0 < decoder.wanted <= 2**16
    except WireError:
        with pytest.raises(WireError):
            decoder.receive(b"")
    for message in got:
        encode(message)  # what came in is valid enough to go out
    return got


cuts = st.lists(st.integers(0, 2**16), max_size=3)


@given(st.binary(max_size=400), cuts)
def test_random_bytes_raise_wire_error_and_nothing_else(data, cuts):
    decode_all(data, cuts)
    decode_all(raw_frame(data[:200] or b"\xc0", data[200:]), cuts)


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=70),
        st.binary(max_size=70),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
keys = st.sampled_from(["kind", "round", "phase", "dtype", "nonce", "swarm", "layout"]) | st.text(max_size=5) | nonces
kinds = st.sampled_from(["contribution", "ping", "pong", "greeting"]) | values


@given(st.dictionaries(keys, values, max_size=6), kinds, st.binary(max_size=64), cuts)
def test_any_header_raises_wire_error_or_is_a_message(fields, kind, body, cuts):
    decode_all(raw_frame(msgpack.packb({**fields, "kind": kind}), body), cuts)


@settings(max_examples=300)
@given(st.lists(messages, min_size=1, max_size=3), st.data(), cuts)
def test_mutated_frames_raise_wire_error_or_are_messages(sent, data, cuts):
    mutated = bytearray(b"".join(map(frame, sent)))
    for _ in range(data.draw(st.integers(1, 4), label="mutations")):
        at = data.draw(st.integers(0, max(0, len(mutated) - 1)), label="at")
        mutation = data.draw(st.sampled_from(["flip", "insert", "delete", "truncate", "repeat"]), label="mutation")
        if mutation == "flip" and mutated:
            mutated[at] ^= data.draw(st.integers(1, 255))
        elif mutation == "insert":
            mutated[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        elif mutation == "delete":
            del mutated[at : at + data.draw(st.integers(1, 40))]
        elif mutation == "truncate":
            del mutated[at:]
        else:
            mutated[at:at] = mutated[at : at + 40]
    decode_all(bytes(mutated), cuts)


@given(st.lists(messages, min_size=1, max_size=3), st.integers(1, 10**6))
def test_a_truncated_stream_gives_the_whole_messages_and_waits(sent, cut):
    data = b"".join(map(frame, sent))
    kept = data[: len(data) - 1 - cut % len(data)]
    got = Decoder().receive(kept)
    lengths = np.cumsum([len(frame(message)) for message in sent])
    assert len(got) == int(np.sum(lengths <= len(kept)))


# -- greetings --------------------------------------------------------------------------------------------------------


def test_a_mismatch_names_the_side_that_differs():
    ours = Greeting(b"\x01" * 32, b"\x02" * 32)
    assert ours.mismatch(Greeting(b"\x01" * 32, b"\x02" * 32)) is None
    topology = ours.mismatch(Greeting(b"\xaa" * 32, b"\x02" * 32))
    layout = ours.mismatch(Greeting(b"\x01" * 32, b"\xbb" * 32))
    assert topology is not None
    assert layout is not None
    assert "another topology (aaaaaaaa, ours is 01010101)" in topology
    assert "another model layout (bbbbbbbb, ours is 02020202)" in layout
