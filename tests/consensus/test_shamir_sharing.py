"""How secret phases by Shamir shares are set up: bounds refused with the reason, encodings, who is waited for."""

import numpy as np
import pytest

from consensus.errors import PlanError
from consensus.private_messages import Bundle, Item, Role, Sealed, Stage
from consensus.private_sizes import Sizes
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Hand, Sharing, Update
from consensus.signer import Signer
from crypto.fixedpoint import FixedPoint
from crypto.mechanisms import LatticeGaussian
from crypto.randomness import Stream
from crypto.shamir import Packing
from tests.consensus.guarded_swarm import shamir
from tests.consensus.private_cell import keys, quick_sign, quick_verify, terms_of

CELL = tuple(one.peer_id for one, _ in keys(6))
KEYS = {one.peer_id: channel.public for one, channel in keys(6)}


def hand(place: int = 0) -> Hand:
    one, channel = keys(6)[place]
    return Hand(Signer(quick_sign(one), quick_verify, Stream(bytes(32), "hand").take_bytes), channel)


def started(sharing: Sharing, update: Update | None, known=KEYS, absent=(), size=4):
    round_ = sharing.round(CELL[0], CELL, 3, 0, size, update, hand(), known, absent)
    return round_, round_.start(0.0)


def test_the_default_lab_has_a_fine_lattice():
    lab = shamir(8, tolerated=2, packed=3, clip=2.0)
    assert lab.vouching == 3
    assert lab.fixed.scale * lab.fixed.clip == pytest.approx(lab.proof.honest_norm)
    assert lab.fixed.clip / lab.proof.honest_norm < 2e-5


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({"tolerated": 3}, r"m - f >= t \+ l \+ 2e"),
        ({"liars": 2}, r"m - f >= "),
        ({"absentees": 3}, r"m - f >= "),
        ({"packed": 9}, r"m - f >= t \+ l"),
        ({"least_honest": 6}, r"h \+ t <= m - f - e"),
        ({"clip": 0.0}, "clip must be positive|scale and clip"),
        ({"clip": None}, "either a clip"),
        ({"encoding": FixedPoint(1.0, 1.0, 6)}, "either a clip"),
        ({"clip": None, "encoding": FixedPoint(1.0, 1.0, 3)}, "room for m members"),
        ({"clip": None, "encoding": FixedPoint(1e6, 1.0, 6)}, "0.9 C"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_bound(changes, bound):
    with pytest.raises(PlanError, match=bound):
        shamir(6, **changes)


def test_noise_decides_the_encoding_and_the_sum_must_hold_as_many_as_it_counts_on():
    proof = shamir().proof
    mechanism = LatticeGaussian.fitted(
        dimension=4, clip=1.0, multiplier=1.0, cap=1.0, room=proof.honest_norm, shares=2, members=6
    )
    sharing = shamir(6, clip=None, encoding=mechanism.encoding(6), least_honest=2)
    assert sharing.fixed.scale == mechanism.scale
    round_, _ = started(sharing, Update(np.ones(4, np.float32), np.arange(4, dtype=np.int32)))
    assert round_.number == 3


def test_whoever_helps_sends_no_box_and_commits_all_the_same():
    for update in (None, Update(np.ones(4, np.float32))):
        _, effects = started(shamir(), update)
        kinds = [type(effect.message) for effect in effects if hasattr(effect, "message")]
        assert Item in kinds
        assert (Sealed in kinds) == (update is not None)


def test_who_published_no_key_and_who_is_absent_is_not_waited_for():
    known = {peer: key for peer, key in KEYS.items() if peer != CELL[2]}
    round_, _ = started(shamir(), Update(np.ones(4, np.float32)), known, absent=[CELL[4]])
    assert set(round_.awaited) == {CELL[1], CELL[3], CELL[5]}


def test_a_cell_of_another_size_or_a_vector_of_another_length_is_refused():
    with pytest.raises(PlanError, match="m = 6"):
        shamir().round(CELL[0], CELL[:5], 0, 0, 4, None, hand(), KEYS)
    for update in (
        Update(np.ones(5, np.float32)),
        Update(np.ones(4, np.float64)),
        Update(np.ones(4, np.float32), np.ones(5, np.int32)),
    ):
        with pytest.raises(ValueError, match=r"float32 \(4,\)"):
            started(shamir(), update)


def test_statements_are_about_everything_that_members_must_agree_on():
    """Members of two swarms, epochs or layouts cannot be taken for members of one round."""
    contexts = set()
    for options, epoch in [({}, 0), ({}, 1), ({"swarm": b"s" * 32}, 0), ({"layout": b"l" * 32}, 0), ({"clip": 3.0}, 0)]:
        round_ = shamir(6, **options).round(CELL[0], CELL, 3, epoch, 4, None, hand(), KEYS)
        contexts.add(round_._terms.context)
    assert len(contexts) == 5


def test_no_message_of_a_round_is_larger_than_announced():
    sharing = shamir()
    _, effects = started(sharing, Update(np.ones(10_000, np.float32)), size=10_000)
    largest = max(len(effect.message.body) for effect in effects if hasattr(getattr(effect, "message", None), "body"))
    assert 4 * 10_000 / 2 < largest <= sharing.most_bytes(10_000)


@pytest.mark.parametrize("cell", [(4, 1, 2, 0, 1), (8, 2, 3, 1, 1), (8, 2, 2, 2, 0), (16, 5, 6, 2, 1)])
@pytest.mark.parametrize("size", [1, 10_000, 1_000_000])
@pytest.mark.parametrize("kept", [0, 3])
def test_no_bundle_that_honest_members_pass_on_is_larger_than_announced(cell, size, kept):
    """Or their neighbours would refuse it as no frame, and cut the connection."""
    sharing = ShamirSharing(*cell, clip=1.0, keep_rounds=kept)
    sizes = Sizes(terms_of(Packing(*cell), size=size, proof=sharing.proof, keep_rounds=kept))
    too_long = range(sharing.most_bytes(size) + 1)  # nothing looks at more of it than how long it is
    assert not any(sizes.fits(Bundle(3, stage, 0, Role.DECISION, too_long)) for stage in Stage)


def test_terms_are_the_same_for_all_who_made_them_alike():
    assert shamir() == shamir()
    assert isinstance(shamir(), ShamirSharing)
