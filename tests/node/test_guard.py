"""What a node with private rounds keeps between them."""

import os

import numpy as np
import pytest

from consensus.base import Base
from consensus.meeting_messages import ChannelKeyNotice, Standing
from consensus.private_messages import Sealed
from consensus.rules import mean
from crypto.identity import Identity
from crypto.sealing import ChannelKey
from node.errors import StateError
from node.guard import Guard, first_base, pack_base, unpack_base
from tests.consensus.guarded_swarm import Open

SIZE = 6
SWARM = b"s" * 32
ME, PEER, FAR = (Identity.generate(os.urandom) for _ in range(3))
KEY = ChannelKey.generate(os.urandom)


def guard(identity=ME, base=None, **options) -> Guard:
    initial = np.arange(SIZE, dtype=np.float32)
    peers = {ME.peer_id, PEER.peer_id, FAR.peer_id} - {identity.peer_id}
    chosen = {
        "swarm": SWARM,
        "rule": mean,
        "channel_key": KEY,
        "made": 5,
        "peers": peers,
        "rounds": 9,
        "randbytes": os.urandom,
    }
    return Guard(Open(2), identity, initial, base, **{**chosen, **options})


def begun(one: Guard, number: int = 0, update=None, **options):
    phases = [{ME.peer_id: 0.5, PEER.peer_id: 0.5}]
    round_ = one.round(number, phases, one.base.vector + 1, update, then=None, absent=(), **options)
    return round_, round_.start(0.0)


def test_the_first_base_is_the_swarms_initial_vector_and_cannot_be_written_to():
    one = guard()
    assert np.array_equal(one.base.vector, np.arange(SIZE))
    assert (one.base.opened, one.base.velocity) == (0, None)
    with pytest.raises(ValueError, match="read-only"):
        one.base.vector[0] = 1
    assert not guard(momentum=0.9).base.velocity.any()


def test_a_round_is_against_the_base_and_says_which():
    base = Base(np.full(SIZE, 3, np.float32), 2)
    one = guard(base=base)
    update = one.difference(base.vector + 1)
    assert np.array_equal(update.vector, np.ones(SIZE))
    _, effects = begun(one, 2, update)
    (standing,) = [effect.message for effect in effects if isinstance(getattr(effect, "message", None), Standing)]
    assert standing == Standing(2, base.digest, 2)


def test_a_share_of_the_coordinates_is_sent():
    one = guard(coordinates=0.5)
    for number, beacon in [(0, bytes(32)), (1, b"b" * 32)]:
        _, effects = begun(one, number, one.difference(one.base.vector + 1), beacon=beacon)
        (sealed,) = [effect.message for effect in effects if isinstance(getattr(effect, "message", None), Sealed)]
        assert len(sealed.body) == 4 * 3


def test_keys_are_taken_from_whoever_passes_them_on():
    one, far = guard(), guard(FAR)
    assert one.is_news(far.notice)
    assert one.take_key(PEER.peer_id, far.notice) is None
    assert not one.is_news(far.notice)
    assert [notice.owner for notice in one.notices] == [ME.peer_id, FAR.peer_id]


def test_the_sender_of_a_forged_key_is_told_apart_from_its_owner():
    one, notice = guard(), guard(PEER).notice
    forged = ChannelKeyNotice(PEER.peer_id, 6, notice.signature, notice.body)
    assert "sends a channel key that is none: its owner did not sign it" in one.take_key(PEER.peer_id, forged)
    assert f"sends the channel key of {PEER.peer_id}" in one.take_key(FAR.peer_id, forged)
    assert one.notices == (one.notice,)


def test_the_wire_lets_bases_with_their_velocity_through():
    assert guard().most_bytes >= len(guard(momentum=0.5).base.body) == 8 * SIZE


def test_a_round_that_was_over_before_the_process_began_tells_those_behind():
    base = Base(np.full(SIZE, 3, np.float32), 9)
    round_ = guard(base=base).closed_round(8, [{ME.peer_id: 0.5, PEER.peer_id: 0.5}])
    (told,) = [effect.message for effect in round_.start(0.0) if isinstance(getattr(effect, "message", None), Standing)]
    assert told == Standing(8, base.digest, 9)
    assert np.array_equal(round_.outcome.vector, base.vector)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_base_comes_back_from_a_checkpoint(momentum):
    base = first_base(np.arange(SIZE, dtype=np.float32), momentum)
    base = Base(base.vector, 4, base.velocity)
    back = unpack_base(pack_base(base), SIZE)
    assert (back.digest, back.opened) == (base.digest, 4)
    assert (back.velocity is None) == (momentum == 0)
    assert unpack_base({}, SIZE) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"private_base": b"short"},
        {"private_base": "text"},
        {"private_base": np.full(SIZE, np.nan, "<f4").tobytes()},
        {"private_base": np.zeros(3 * SIZE, "<f4").tobytes()},
        {"private_base_opened": None},
        {"private_base_opened": -1},
        {"private_base": None},
    ],
)
def test_a_damaged_base_is_said_to_be(damage):
    packed = pack_base(first_base(np.arange(SIZE, dtype=np.float32), 0.0))
    with pytest.raises(StateError, match="base of private rounds is damaged"):
        unpack_base({**packed, **damage}, SIZE)


def test_a_key_is_new_for_a_few_rounds():
    one = guard(key_is_new=True)
    seen = [begun(one, number)[0]._terms.hand.key_is_new for number in (7, 8, 9, 10, 11)]
    assert seen == [True, True, True, False, False]
    assert not begun(guard(), 0)[0]._terms.hand.key_is_new
