import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.masks import (
    BOX_BYTES,
    PUBLIC_BYTES,
    SHARE_BYTES,
    SHARING_PRIME,
    MaskError,
    MaskKeys,
    add_masks,
    agree,
    mask,
    open_shares,
    public_point,
    recover,
    recover_masks,
    recover_seed,
    seal_shares,
    seed_digest,
    share,
    split,
)

CONTEXT = bytes(32)


def keys(seed):
    return MaskKeys.generate(random.Random(seed).randbytes)


def test_points_are_those_of_rfc_7748():
    """Section 6.1, Alice and Bob."""
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc0992ac177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert public_point(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert public_point(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert agree(alice, public_point(bob), "x", CONTEXT) == agree(bob, public_point(alice), "x", CONTEXT)


def test_an_agreement_is_for_one_purpose_and_context_and_pair():
    a, b, c = keys(1), keys(2), keys(3)
    both = agree(a.masks, split(b.public)[1], "mask", CONTEXT)
    assert both == agree(b.masks, split(a.public)[1], "mask", CONTEXT)
    others = {
        agree(a.masks, split(b.public)[1], "box", CONTEXT),
        agree(a.masks, split(b.public)[1], "mask", bytes(31) + b"\1"),
        agree(a.masks, split(c.public)[1], "mask", CONTEXT),
        agree(a.boxes, split(b.public)[1], "mask", CONTEXT),
    }
    assert both not in others
    assert len(others) == 4


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_points_of_small_order_are_refused(point):
    with pytest.raises(MaskError, match="no secret"):
        agree(keys(1).masks, point, "mask", CONTEXT)


def test_secrets_stay_out_of_repr():
    one = keys(1)
    assert one.seed.hex() not in repr(one)
    assert "b'" not in repr(one)
    assert len(one.public) == PUBLIC_BYTES
    with pytest.raises(MaskError, match="96 bytes"):
        split(bytes(95))


# -- masks


def test_pair_masks_cancel_and_own_masks_come_off():
    members, size = 5, 100
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, size=(members, size), dtype=np.uint32)
    all_keys = [keys(seed) for seed in range(members)]
    total = np.zeros(size, np.uint32)
    for j, mine in enumerate(all_keys):
        pairs = [agree(mine.masks, split(other.public)[1], "mask", CONTEXT) for other in all_keys]
        masked = add_masks(words[j], 3, [mine.seed, *pairs[j + 1 :]], pairs[:j])
        assert not np.array_equal(masked, words[j])
        total += masked
    for one in all_keys:
        total -= mask(one.seed, 3, size)
    assert np.array_equal(total, words.sum(axis=0, dtype=np.uint32))


def test_masked_words_look_uniform_and_fragments_independent():
    words = add_masks(np.zeros(1 << 16, np.uint32), 0, [bytes(32)], [])
    counts = np.bincount(words >> np.uint32(24), minlength=256)
    chi_squared = float(((counts - 256) ** 2 / 256).sum())
    assert 150 < chi_squared < 380  # 255 degrees of freedom: 2**-20 beyond either end
    assert np.mean(words == mask(bytes(32), 1, 1 << 16)) < 0.001
    assert np.array_equal(mask(bytes(32), 1, 10), mask(bytes(32), 1, 99)[:10])


# -- shares


def is_prime(n):
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43):
        x = pow(base, d, n)
        if x not in (1, n - 1) and all((x := x * x % n) != n - 1 for _ in range(s - 1)):
            return False
    return True


def test_the_prime_of_the_sharing_is_one():
    assert is_prime(SHARING_PRIME)
    assert not any(is_prime(n) for n in range(2**256, SHARING_PRIME))


@settings(max_examples=40, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), seed=st.integers(0, 2**32), data=st.data())
def test_any_threshold_of_shares_recovers_the_secret(secret, seed, data):
    members = data.draw(st.integers(1, 12))
    threshold = data.draw(st.integers(1, members))
    shares = share(secret, threshold, members, random.Random(seed).randbytes)
    places = data.draw(st.permutations(range(members)))[: data.draw(st.integers(threshold, members))]
    assert recover({place: shares[place] for place in places}, threshold) == secret
    with pytest.raises(MaskError, match="shares are needed"):
        recover({place: shares[place] for place in places[: threshold - 1]}, threshold)


def test_less_than_the_threshold_fits_every_secret():
    """For each other secret there is a share that completes the same two to it."""
    shares = share(bytes(32), 3, 5, random.Random(1).randbytes)
    seen = {0: shares[0], 4: shares[4]}
    other = b"\7" * 32
    slope = [int.from_bytes(shares[place], "little") for place in (0, 4)]
    # Lagrange through (0, other), (1, s0), (5, s4), evaluated at 2.
    over = [pow(below, -1, SHARING_PRIME) for below in (5, -4, 20)]
    weights = [above * one for above, one in zip(((2 - 1) * (2 - 5), 2 * (2 - 5), 2 * 1), over, strict=True)]
    value = sum(w * v for w, v in zip(weights, [int.from_bytes(other, "little"), *slope], strict=True)) % SHARING_PRIME
    assert recover({**seen, 1: value.to_bytes(SHARE_BYTES, "little")}, 3) == other


def test_a_wrong_share_is_noticed():
    one = keys(4)
    point, promised = split(one.public)[1:]
    for secret, check, expected in (
        (one.seed, recover_seed, promised),
        (one.masks, recover_masks, point),
    ):
        shares = dict(enumerate(share(secret, 3, 5, random.Random(2).randbytes)))
        assert check(shares, 3, expected) == secret
        shares[1] = (int.from_bytes(shares[1], "little") ^ 1).to_bytes(SHARE_BYTES, "little")
        with pytest.raises(MaskError, match="wrong"):
            check(shares, 3, expected)
        for bad in (b"\xff" * SHARE_BYTES, b"", bytes(SHARE_BYTES + 1)):
            with pytest.raises(MaskError):
                check({**shares, 1: bad}, 3, expected)
    with pytest.raises(MaskError, match="threshold"):
        share(bytes(32), 6, 5, random.Random(2).randbytes)


def test_a_clamped_scalar_is_the_same_point():
    """X25519 clears and sets bits of a scalar: what is shared is the scalar as it was drawn."""
    secret = b"\xff" * 32
    shares = dict(enumerate(share(secret, 2, 3, random.Random(3).randbytes)))
    assert recover_masks(shares, 2, public_point(secret)) == secret


def test_boxes_open_under_their_key_and_context_alone():
    mine, theirs = b"b" * SHARE_BYTES, b"s" * SHARE_BYTES
    box = seal_shares(bytes(32), CONTEXT, mine, theirs)
    assert len(box) == BOX_BYTES
    assert open_shares(bytes(32), CONTEXT, box) == (mine, theirs)
    for key, context, bad in (
        (b"\1" * 32, CONTEXT, box), (bytes(32), b"x", box), (bytes(32), CONTEXT, box[:-1]), (bytes(32), CONTEXT, b""),
        (bytes(32), CONTEXT, seal_shares(bytes(32), CONTEXT, b"", b"")),
    ):  # fmt: skip
        with pytest.raises(MaskError):
            open_shares(key, context, bad)
    assert seed_digest(bytes(32)) != seed_digest(b"\1" * 32)
