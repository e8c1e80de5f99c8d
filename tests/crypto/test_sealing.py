import hashlib
import hmac
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from crypto import commitment, sealing
from crypto.field import PRIME
from crypto.sealing import (
    Box,
    BoxContext,
    Bulk,
    ChannelKey,
    SealingError,
    commit_key,
    open_with_key,
    seal,
    statement,
    unseal,
)

SIGNER, STRANGER = SigningKey(b"\x01" * 32), SigningKey(b"\x02" * 32)
MINE, THEIRS = ChannelKey(bytes(range(96))), ChannelKey(b"\x05" * 96)
KEY = b"\x07" * 32
CONTEXT = BoxContext(
    swarm=b"s" * 32, epoch=3, round=14, dealer="12D3KooWdealer", holder="12D3KooWholder", members=8, tolerated=2,
    packed=3, prime=PRIME, size=1000, layout=b"l" * 32, purpose="shares",
)  # fmt: skip


def sign(message):
    return SIGNER.sign(message).signature


def verify(message, signature):
    try:
        SIGNER.verify_key.verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def sealed(message=b"a share", context=CONTEXT, **changes):
    return seal(message, context, MINE.public, sign, KEY, **changes)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(Bulk))
def test_a_box_opens_to_its_holder_and_to_whoever_has_its_key(message, bulk):
    box = sealed(message, bulk=bulk)
    assert unseal(box, CONTEXT, MINE, verify) == message
    assert open_with_key(box, CONTEXT, KEY) == message


def test_sizes_are_the_constants():
    box = sealed(b"x" * 100)
    assert len(MINE.public) == sealing.PUBLIC_BYTES == 1216
    assert len(box.wrapped) == sealing.WRAPPED_BYTES
    assert len(box.ciphertext) == 100 + sealing.TAG_BYTES
    assert len(box.signature) == sealing.SIGNATURE_BYTES


def test_the_wrapped_key_is_that_of_an_independent_hpke():
    """RFC 9180 §5.1 by hand over the X-Wing combiner (draft-connolly-cfrg-xwing-kem §5.3): both secrets enter, neither
    suffices.
    """
    wrapped, info = sealed().wrapped, CONTEXT.encode()
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


def test_the_bulk_is_plain_aes_gcm_under_the_one_time_key():
    assert AESGCM(KEY).decrypt(bytes(12), sealed(b"hello").ciphertext, CONTEXT.encode()) == b"hello"


@pytest.mark.parametrize("name", [item.name for item in fields(BoxContext)])
def test_a_box_opens_under_no_other_context(name):
    value = getattr(CONTEXT, name)
    other = replace(
        CONTEXT,
        **{
            name: value + 1
            if isinstance(value, int)
            else value[:-1] + type(value)(b"z" if isinstance(value, bytes) else "z")
        },
    )
    box = sealed()
    with pytest.raises(SealingError, match="not signed"):
        unseal(box, other, MINE, verify)
    with pytest.raises(SealingError, match="not the one"):
        open_with_key(box, other, KEY)
    with pytest.raises(SealingError, match="does not unwrap"):
        MINE.unwrap(box.wrapped, other.encode())


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
@given(st.sampled_from(["wrapped", "ciphertext", "key_commitment", "signature"]), st.data())
def test_a_box_with_any_byte_changed_is_refused(part, data):
    box = sealed()
    value = bytearray(getattr(box, part))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealingError):
        unseal(replace(box, **{part: bytes(value)}), CONTEXT, MINE, verify)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1300), st.binary(max_size=60), st.binary(max_size=40), st.sampled_from(Bulk))
def test_bytes_signed_by_a_hostile_dealer_raise_nothing_but_a_sealing_error(wrapped, ciphertext, key_commitment, bulk):
    box = Box(wrapped, ciphertext, key_commitment, b"", bulk)
    box = replace(box, signature=sign(statement(CONTEXT, wrapped, box.leaf, bulk)))
    with pytest.raises(SealingError):
        unseal(box, CONTEXT, MINE, verify)


def test_a_box_for_another_holder_or_from_another_dealer_is_refused():
    with pytest.raises(SealingError, match="another holder"):
        unseal(sealed(), CONTEXT, THEIRS, verify)
    forged = seal(b"x", CONTEXT, MINE.public, lambda m: STRANGER.sign(m).signature, KEY)
    with pytest.raises(SealingError, match="not signed by its dealer 12D3KooWdealer"):
        unseal(forged, CONTEXT, MINE, verify)


def test_a_box_does_not_open_under_two_keys():
    """AES-GCM alone would let a dealer craft one; the commitment does not."""
    box = sealed()
    with pytest.raises(SealingError, match="not the one"):
        open_with_key(box, CONTEXT, b"\x08" * 32)
    with pytest.raises(SealingError, match="not the one"):
        open_with_key(box, CONTEXT, KEY + b"\x00")


def test_a_dealer_that_commits_to_one_key_and_seals_under_another_is_found_out_by_both_of_them():
    other = b"\x08" * 32
    box = replace(sealed(), key_commitment=commit_key(other, CONTEXT.encode()))
    box = replace(box, signature=sign(statement(CONTEXT, box.wrapped, box.leaf, box.bulk)))
    with pytest.raises(SealingError, match="not the one"):
        unseal(box, CONTEXT, MINE, verify)
    with pytest.raises(SealingError, match="sealed it wrong"):
        open_with_key(box, CONTEXT, other)


def test_the_same_message_never_looks_the_same():
    assert sealed().wrapped != sealed().wrapped


def test_keys_of_a_wrong_form_are_refused():
    with pytest.raises(SealingError, match="96 secret bytes"):
        ChannelKey(b"short")
    with pytest.raises(SealingError, match="32 bytes"):
        seal(b"x", CONTEXT, MINE.public, sign, b"short")
    with pytest.raises(SealingError, match="1216 bytes"):
        seal(b"x", CONTEXT, MINE.public[1:], sign, KEY)
    with pytest.raises(SealingError, match="canonical"):
        seal(b"x", CONTEXT, b"\xff" * 1216, sign, KEY)
    with pytest.raises(SealingError, match="no secret"):
        seal(b"x", CONTEXT, MINE.public[:1184] + bytes(32), sign, KEY)  # the point of order one


def test_a_box_too_large_for_its_cipher_is_refused(monkeypatch):
    monkeypatch.setattr(sealing, "MAX_PLAINTEXT_BYTES", 3)
    with pytest.raises(SealingError, match="seal fragments"):
        sealed(b"four")


def test_a_channel_key_is_its_secret_and_does_not_show_it():
    assert ChannelKey.generate(lambda n: bytes(range(n))).public == MINE.public
    assert MINE._secret.hex()[:16] not in repr(MINE)
    assert str(MINE._secret)[:16] not in repr(MINE)
