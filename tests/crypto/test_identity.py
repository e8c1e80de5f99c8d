from __future__ import annotations

import random
from contextlib import suppress

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from crypto.identity import (
    Identity,
    IdentityError,
    PeerId,
    Verifier,
    parse_peer_id,
    public_key_of,
    verify,
)

seeds = st.binary(min_size=32, max_size=32)

# RFC 8032 section 7.1, TEST 1 to 3: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_signatures_of_rfc_8032(seed, public_key, message, signature):
    identity = Identity.from_seed(bytes.fromhex(seed))
    assert identity.public_key.hex() == public_key
    assert identity.sign(bytes.fromhex(message)).hex() == signature
    assert verify(identity.peer_id, bytes.fromhex(message), bytes.fromhex(signature))


@given(seeds, seeds, st.binary(max_size=40), st.binary(min_size=63, max_size=65))
def test_a_verifier_says_what_verify_says_however_often_it_is_asked(seed, other, message, noise):
    signer, stranger, verifier = Identity.from_seed(seed), Identity.from_seed(other), Verifier()
    signature = signer.sign(message)
    for _ in range(2):
        for peer, text, signed in [
            (signer.peer_id, message, signature),
            (stranger.peer_id, message, signature),
            (signer.peer_id, message + b"!", signature),
            (signer.peer_id, message, noise),
        ]:
            assert verifier.verify(peer, text, signed) == verify(peer, text, signed)


def test_a_verifier_remembers_a_bounded_number_of_peers():
    class Small(Verifier):
        MOST_PEERS = 2

    verifier = Small()
    for seed in range(4):
        one = Identity.from_seed(bytes([seed]) * 32)
        assert verifier.verify(one.peer_id, b"", one.sign(b""))
    assert len(verifier._keys) == 2


@given(seeds)
def test_the_peer_id_is_the_one_that_libp2p_derives(seed):
    key = create_new_key_pair(seed)
    identity = Identity.from_seed(seed)
    assert identity.peer_id == str(ID.from_pubkey(key.public_key))
    assert public_key_of(identity.peer_id) == key.public_key.to_bytes() == identity.public_key
    assert parse_peer_id(identity.peer_id) == identity.peer_id


@given(seeds, st.binary(max_size=200), st.integers(0, 511))
def test_a_signature_fails_for_one_flipped_bit_another_message_or_another_peer(seed, message, bit):
    identity = Identity.from_seed(seed)
    signature = identity.sign(message)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    other = Identity.from_seed(bytes(b ^ 1 for b in seed))
    assert verify(identity.peer_id, message, signature)
    assert not verify(identity.peer_id, message, bytes(flipped))
    assert not verify(identity.peer_id, message + b"\x00", signature)
    assert not verify(other.peer_id, message, signature)


@pytest.mark.parametrize("signature", [b"", b"\x00" * 63, b"\x00" * 65])
def test_a_signature_of_another_length_is_merely_wrong(signature):
    assert not verify(Identity.from_seed(bytes(32)).peer_id, b"", signature)


def test_generate_takes_its_bytes_from_the_caller():
    one, same = (Identity.generate(random.Random(5).randbytes) for _ in range(2))
    assert one == same
    assert one.seed == random.Random(5).randbytes(32)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(size):
    with pytest.raises(IdentityError, match=f"32 bytes, got {size}"):
        Identity.from_seed(bytes(size))


def test_repr_hides_the_secret():
    identity = Identity.from_seed(bytes(range(32)))
    assert identity.peer_id in repr(identity)
    for spelling in (identity.seed.hex(), repr(identity.seed)):
        assert spelling not in repr(identity)


# -- parsing a PeerId ---------------------------------------------------------------------------------------------

GOOD = Identity.from_seed(bytes(32)).peer_id
RSA = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"  # of an RSA key, from the documentation of libp2p


def _of(public_key: bytes) -> str:
    return base58.b58encode(bytes.fromhex("002408011220") + public_key).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 characters"),
        (GOOD[:-1], "51 characters"),
        (GOOD + "1", "53 characters"),
        (RSA, "46 characters"),
        (GOOD[:-1] + "0", "not base58"),
        (GOOD[:-1] + "é", "not base58"),
        (GOOD[:-1] + " ", "Ed25519"),
        ("1" * 52, "Ed25519"),
        ("2" + GOOD[1:], "Ed25519"),
        (_of(bytes(32)), "prime-order"),  # a point of order 4
        (_of(b"\x01" + bytes(31)), "prime-order"),  # the neutral element: a signature of anything
        (_of(b"\xff" * 32), "prime-order"),  # not reduced modulo 2**255 - 19
    ],
)
def test_text_that_is_no_peer_id_is_refused_with_the_remedy(text, why):
    with pytest.raises(IdentityError, match=why) as caught:
        parse_peer_id(text)
    assert "12D3KooW" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@given(st.text(max_size=60))
def test_any_text_is_a_peer_id_or_an_identity_error(text):
    with suppress(IdentityError):
        assert parse_peer_id(text) == text


@given(st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=44, max_size=44))
def test_a_peer_id_has_one_spelling(tail):
    try:
        parsed = parse_peer_id("12D3KooW" + tail)
    except IdentityError:
        return
    assert parsed == str(ID.from_string(parsed))


def test_public_key_of_a_hostile_long_text_does_not_decode_it():
    with pytest.raises(IdentityError, match="1000000 characters"):
        public_key_of(PeerId("2" * 1_000_000))
