"""Masked and encrypted sharing behind the one interface: sizes, bounds, sums on the wire's largest messages."""

import random

import numpy as np
import pytest

from consensus.encrypted_sharing import EncryptedSharing
from consensus.errors import PlanError
from consensus.masked_sharing import MaskedSharing
from consensus.sharing import Hand, Update
from consensus.signer import Signer
from crypto.fixedpoint import FixedPoint
from crypto.sealing import SECRET_BYTES, ChannelKey
from tests.consensus.secret_cell import Cell, identities, verifying

SIZE = 700
CLIP = 2.0
NOISED = FixedPoint(scale=2.0**10, clip=CLIP, members=5, noise=500)
MASKS = MaskedSharing(members=5, tolerated=1, absentees=1, clip=CLIP)
CKKS = EncryptedSharing(members=5, absentees=1, kind="ckks", clip=CLIP)
BFV = EncryptedSharing(members=5, absentees=1, kind="bfv", clip=CLIP)
ALL = pytest.mark.parametrize("sharing", [MASKS, CKKS, BFV], ids=["masks", "ckks", "bfv"])


def run(sharing, updates):
    people = identities(sharing.members)
    cell = tuple(one.peer_id for one in people)
    brought = dict(zip(cell, updates, strict=True))

    def make(one):
        hand = Hand(Signer(one.sign, verifying, random.Random(one.peer_id).randbytes), ChannelKey(bytes(SECRET_BYTES)))
        return sharing.round(one.peer_id, cell, 3, 0, SIZE, brought[one.peer_id], hand, {})

    return Cell(people, make).run()


def updates(norm):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(5, SIZE))
    return [Update((norm * v / np.linalg.norm(v)).astype(np.float32)) for v in vectors]


@ALL
def test_all_learn_the_mean_and_no_message_is_larger_than_said(sharing):
    brought = updates(0.9 * CLIP)
    cell = run(sharing, brought)
    expected = np.mean([one.vector for one in brought], axis=0)
    for outcome in cell.outcomes.values():
        assert len(outcome.accepted) == 5
        np.testing.assert_allclose(outcome.mean, expected, atol=1e-6)
    bodies = [len(getattr(message, "body", b"")) for *_, message in cell.sent]
    assert max(bodies) <= sharing.most_bytes(SIZE) <= 2 * max(bodies)


@ALL
def test_a_longer_update_is_shortened(sharing):
    brought = updates(10 * CLIP)
    mean = run(sharing, brought).outcomes[0].mean
    np.testing.assert_allclose(mean, np.mean([one.vector for one in brought], axis=0) / 10, atol=1e-6)


@pytest.mark.parametrize(
    "sharing",
    [
        MaskedSharing(members=5, tolerated=1, absentees=1, encoding=NOISED),
        EncryptedSharing(members=5, absentees=1, kind="ckks", encoding=NOISED),
        EncryptedSharing(members=5, absentees=1, kind="bfv", encoding=NOISED),
    ],
    ids=["masks", "ckks", "bfv"],
)
def test_noise_counts_in_units_of_the_encoding_and_who_brings_nothing_is_not_counted(sharing):
    noise = np.random.default_rng(2).integers(-500, 501, size=(5, SIZE)).astype(np.int32)
    brought = [Update(np.zeros(SIZE, np.float32), row) for row in noise]
    brought[2] = None
    expected = np.delete(noise, 2, axis=0).sum(0) / (4 * NOISED.scale)
    for outcome in run(sharing, brought).outcomes.values():
        assert len(outcome.accepted) == 4
        assert np.array_equal(outcome.mean, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda: MaskedSharing(members=5, tolerated=1, absentees=2, clip=CLIP), "m - f >="),
        (lambda: MaskedSharing(members=5, tolerated=4, absentees=0, clip=CLIP), r"t \+ h <= m"),
        (lambda: MaskedSharing(members=5, tolerated=1, absentees=1, clip=CLIP, least_honest=4), "m - f >="),
        (lambda: MaskedSharing(members=5, tolerated=1, absentees=1), "a clip, .* or an encoding"),
        (lambda: MaskedSharing(members=5, tolerated=1, absentees=1, clip=CLIP, encoding=NOISED), "a clip, .* or an"),
        (lambda: MaskedSharing(members=5, tolerated=1, absentees=1, clip=0.0), "positive"),
        (lambda: EncryptedSharing(members=2, absentees=0, kind="bfv", clip=CLIP), "and a third"),
        (lambda: EncryptedSharing(members=5, absentees=3, kind="bfv", clip=CLIP), "m - 1 - f >= least"),
        (lambda: EncryptedSharing(members=5, absentees=1, kind="ckks", clip=65.0), "clip <= 64"),
        (lambda: EncryptedSharing(members=5, absentees=1, kind="bfv", clip=0.0), "positive"),
        (lambda: EncryptedSharing(members=5, absentees=1, kind="bfv"), "a clip, .* or an encoding"),
        (
            lambda: EncryptedSharing(members=5, absentees=1, kind="ckks", encoding=FixedPoint(2.0**21, CLIP, 5)),
            "scale < 2097152 is needed",
        ),
        (
            lambda: EncryptedSharing(members=5, absentees=1, kind="bfv", encoding=FixedPoint(2.0**26, CLIP, 5)),
            "could wrap",
        ),
        (
            lambda: EncryptedSharing(members=6, absentees=1, kind="bfv", encoding=NOISED),
            "room for a sum of m = 6",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_bound(make, bound):
    with pytest.raises(PlanError, match=bound):
        make()


def test_so_many_that_say_one_thing_are_not_all_trusted_in_vain():
    assert (MASKS.vouching, CKKS.vouching) == (2, 2)
    assert MaskedSharing(members=8, tolerated=2, absentees=1, clip=CLIP).vouching == 3
