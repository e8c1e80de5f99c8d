import pytest

from crypto.passage import OVERHEAD_BYTES, Receiver, Sender
from crypto.randomness import Stream
from crypto.sealing import WRAPPED_BYTES, BoxContext, ChannelKey, SealingError


def context(**changes):
    fields = {"swarm": b"s" * 32, "round": 3, "dealer": "a", "holder": "b"} | changes
    return BoxContext(
        epoch=0, members=2, tolerated=1, packed=1, prime=0, size=0, layout=b"", purpose="relayed", **fields
    )


@pytest.fixture
def stream():
    return Stream(b"p" * 32, "passage")


@pytest.fixture
def key(stream):
    return ChannelKey.generate(stream.take_bytes)


def test_messages_open_in_any_order(stream, key):
    sender = Sender(stream.take_bytes(32), context(), key.public)
    sent = {number: sender.seal(bytes([number % 256]) * number, number) for number in (0, 1, 5, 300)}
    receiver = Receiver(sent[0][:WRAPPED_BYTES], context(), key)
    for number in (300, 1, 0, 5, 5):
        assert len(sent[number]) == number + OVERHEAD_BYTES
        assert receiver.open(number, memoryview(sent[number])[WRAPPED_BYTES:]) == bytes([number % 256]) * number


def test_a_number_is_used_once(stream, key):
    sender = Sender(stream.take_bytes(32), context(), key.public)
    sender.seal(b"", 4)
    for number in (4, 3, 0):
        with pytest.raises(SealingError, match="after 4"):
            sender.seal(b"", number)


def test_a_message_opens_under_its_number_and_unaltered_alone(stream, key):
    sealed = Sender(stream.take_bytes(32), context(), key.public).seal(b"words", 2)
    receiver = Receiver(sealed[:WRAPPED_BYTES], context(), key)
    with pytest.raises(SealingError, match="message 3"):
        receiver.open(3, sealed[WRAPPED_BYTES:])
    for place in range(WRAPPED_BYTES, len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealingError):
            receiver.open(2, altered[WRAPPED_BYTES:])


@pytest.mark.parametrize("change", [{"swarm": b"o" * 32}, {"round": 4}, {"dealer": "c"}, {"holder": "c"}], ids=str)
def test_a_session_is_of_one_context(stream, key, change):
    sealed = Sender(stream.take_bytes(32), context(), key.public).seal(b"words", 0)
    with pytest.raises(SealingError):
        Receiver(sealed[:WRAPPED_BYTES], context(**change), key)


def test_another_key_does_not_open_it(stream, key):
    sealed = Sender(stream.take_bytes(32), context(), key.public).seal(b"words", 0)
    with pytest.raises(SealingError):
        Receiver(sealed[:WRAPPED_BYTES], context(), ChannelKey.generate(stream.take_bytes))
    with pytest.raises(SealingError):
        Receiver(b"", context(), key)


def test_what_is_no_key_is_refused(stream):
    with pytest.raises(SealingError):
        Sender(stream.take_bytes(32), context(), b"short")
