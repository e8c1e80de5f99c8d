import hashlib
import hmac
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import commitment, sealing
from crypto.field import PRIME
from crypto.sealing import (
    BlockCipher,
    BoxContext,
    Bulk,
    ChannelKey,
    SealingError,
    commit_key,
    leaf_of,
    require_key,
    wrap,
)

MINE, THEIRS = ChannelKey(bytes(range(96))), ChannelKey(b"\x05" * 96)
KEY = b"\x07" * 32
CONTEXT = BoxContext(
    swarm=b"s" * 32, epoch=3, round=14, dealer="12D3KooWdealer", holder="12D3KooWholder", members=8, tolerated=2,
    packed=3, prime=PRIME, size=1000, layout=b"l" * 32, purpose="shares",
)  # fmt: skip
OTHERS = [
    replace(CONTEXT, **{item.name: value + 1 if isinstance(value, int) else value[:-1] + type(value)(last)})
    for item in fields(CONTEXT)
    for value in [getattr(CONTEXT, item.name)]
    for last in [b"z" if isinstance(value, bytes) else "z"]
]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=5), st.sampled_from(Bulk))
def test_a_box_opens_block_by_block_to_its_holder_and_to_whoever_has_its_key(messages, bulk):
    dealer = BlockCipher(KEY, CONTEXT, len(messages), bulk)
    sealed = [dealer.seal(index, message) for index, message in enumerate(messages)]
    holder = BlockCipher(MINE.unwrap(wrap(KEY, CONTEXT, MINE.public), CONTEXT.encode()), CONTEXT, len(messages), bulk)
    assert [holder.open(index, block) for index, block in enumerate(sealed)] == messages


def test_sizes_are_the_constants():
    assert len(MINE.public) == sealing.PUBLIC_BYTES == 1216
    assert len(wrap(KEY, CONTEXT, MINE.public)) == sealing.WRAPPED_BYTES
    assert len(BlockCipher(KEY, CONTEXT, 1).seal(0, bytes(100))) == 100 + sealing.TAG_BYTES


def test_the_wrapped_key_is_that_of_an_independent_hpke():
    """RFC 9180 §5.1 by hand over the X-Wing combiner (draft-connolly-cfrg-xwing-kem §5.3): both secrets enter, neither
    suffices.
    """
    wrapped, info = wrap(KEY, CONTEXT, MINE.public), CONTEXT.encode()
    lattice_part, point, body = wrapped[:1088], wrapped[1088:1120], wrapped[1120:]
    secrets = MINE._mlkem.decapsulate(lattice_part) + MINE._x25519.exchange(X25519PublicKey.from_public_bytes(point))
    shared = hashlib.sha3_256(secrets + point + MINE.public[1184:] + rb"\.//^" + b"\\").digest()
    suite = b"HPKE" + bytes.fromhex("647a 0001 0002")

    def extract(salt, label, material):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")

    def expand(secret, label, context, length):
        return hmac.digest(
            secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context + b"\x01", "sha256"
        )[:length]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, nonce = expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
    assert AESGCM(key).decrypt(nonce, body, b"") == KEY


def test_a_block_is_plain_aes_gcm_under_a_key_of_its_own():
    associated = commitment.encode("grapevine block v1", CONTEXT.encode(), 2, 7)
    key = commitment.digest("grapevine block key v1", KEY, associated)
    assert AESGCM(key).decrypt(bytes(12), BlockCipher(KEY, CONTEXT, 7).seal(2, b"hello"), associated) == b"hello"


@pytest.mark.parametrize("other", OTHERS, ids=[item.name for item in fields(BoxContext)])
def test_a_box_opens_under_no_other_context(other):
    with pytest.raises(SealingError, match="does not open"):
        BlockCipher(KEY, other, 1).open(0, BlockCipher(KEY, CONTEXT, 1).seal(0, b"a share"))
    with pytest.raises(SealingError, match="not the one"):
        require_key(KEY, other, commit_key(KEY, CONTEXT))
    with pytest.raises(SealingError, match="does not unwrap"):
        MINE.unwrap(wrap(KEY, CONTEXT, MINE.public), other.encode())


@pytest.mark.parametrize(("index", "count"), [(0, 3), (2, 3), (1, 2), (1, 4)])
def test_a_block_is_no_other_block_and_part_of_no_other_number_of_them(index, count):
    sealed = BlockCipher(KEY, CONTEXT, 3).seal(1, b"a share")
    with pytest.raises(SealingError, match="does not open"):
        BlockCipher(KEY, CONTEXT, count).open(index, sealed)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_block_beyond_the_last(index):
    with pytest.raises(SealingError, match="3 blocks"):
        BlockCipher(KEY, CONTEXT, 3).seal(index, b"x")


def test_a_context_has_one_encoding_of_its_own():
    assert CONTEXT.encode() == commitment.encode(
        "grapevine box v1",
        b"s" * 32,
        3,
        14,
        "12D3KooWdealer",
        "12D3KooWholder",
        8,
        2,
        3,
        PRIME,
        1000,
        b"l" * 32,
        "shares",
    )
    assert replace(CONTEXT, members=82, tolerated=3).encode() != replace(CONTEXT, members=8, tolerated=23).encode()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(Bulk))
def test_a_block_with_any_byte_changed_or_of_another_length_is_refused(data, bulk):
    cipher = BlockCipher(KEY, CONTEXT, 1, bulk)
    sealed = bytearray(cipher.seal(0, b"a share"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    cut = bytes(sealed[:place])
    sealed[place] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(sealed), cut, bytes(sealed) + b"x"):
        with pytest.raises(SealingError):
            cipher.open(0, bad)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=1300))
def test_bytes_that_wrap_no_key_raise_nothing_but_a_sealing_error(wrapped):
    with pytest.raises(SealingError):
        MINE.unwrap(wrapped, CONTEXT.encode())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, sealing.WRAPPED_BYTES - 1), st.integers(1, 255))
def test_a_wrapped_key_with_any_byte_changed_does_not_unwrap(place, by):
    wrapped = bytearray(wrap(KEY, CONTEXT, MINE.public))
    wrapped[place] ^= by
    with pytest.raises(SealingError, match="does not unwrap"):
        MINE.unwrap(bytes(wrapped), CONTEXT.encode())


def test_a_box_for_another_holder_does_not_open():
    with pytest.raises(SealingError, match="another holder"):
        THEIRS.unwrap(wrap(KEY, CONTEXT, MINE.public), CONTEXT.encode())


def test_a_box_has_one_key():
    """AES-GCM alone would let a dealer craft a block that opens under two; the commitment does not."""
    committed = commit_key(KEY, CONTEXT)
    require_key(KEY, CONTEXT, committed)
    for other in (b"\x08" * 32, KEY + b"\x00", b""):
        with pytest.raises(SealingError, match="not the one"):
            require_key(other, CONTEXT, committed)


def test_a_leaf_tells_every_block_their_number_and_order_and_the_wrapped_key():
    wrapped, committed = b"w" * sealing.WRAPPED_BYTES, b"c" * 32
    one, two = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    leaves = [
        leaf_of(wrapped, committed, [one, two]),
        leaf_of(wrapped, committed, [two, one]),
        leaf_of(wrapped, committed, [one]),
        leaf_of(wrapped, committed, [one, two, two]),
        leaf_of(b"x" + wrapped[1:], committed, [one, two]),
        leaf_of(wrapped, b"d" * 32, [one, two]),
    ]
    assert len({leaf.digest() for leaf in leaves}) == len(leaves)


def test_the_same_key_never_looks_the_same():
    assert wrap(KEY, CONTEXT, MINE.public) != wrap(KEY, CONTEXT, MINE.public)


def test_keys_of_a_wrong_form_are_refused():
    with pytest.raises(SealingError, match="96 secret bytes"):
        ChannelKey(b"short")
    with pytest.raises(SealingError, match="32 bytes"):
        wrap(b"short", CONTEXT, MINE.public)
    with pytest.raises(SealingError, match="1216 bytes"):
        wrap(KEY, CONTEXT, MINE.public[1:])
    with pytest.raises(SealingError, match="canonical"):
        wrap(KEY, CONTEXT, b"\xff" * 1216)
    with pytest.raises(SealingError, match="no secret"):
        wrap(KEY, CONTEXT, MINE.public[:1184] + bytes(32))  # the point of order one


def test_a_block_that_is_too_large_is_refused():
    with pytest.raises(SealingError, match="at most 1048576 bytes"):
        BlockCipher(KEY, CONTEXT, 1).seal(0, bytes(sealing.MAX_BLOCK_BYTES + 1))


def test_a_channel_key_is_its_secret_and_does_not_show_it():
    assert ChannelKey.generate(lambda n: bytes(range(n))).public == MINE.public
    assert MINE._secret.hex()[:16] not in repr(MINE)
    assert str(MINE._secret)[:16] not in repr(MINE)
