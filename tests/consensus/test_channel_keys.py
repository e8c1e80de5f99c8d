"""Channel keys as their owners publish them and others pass them on."""

import os

import pytest

from consensus.channel_keys import ChannelKeys, make_notice
from consensus.meeting_messages import ChannelKeyNotice
from crypto.identity import Identity, verify
from crypto.sealing import PUBLIC_BYTES, ChannelKey, SealingError

SWARM = b"s" * 32
OWNER, OTHER, STRANGER = (Identity.generate(os.urandom) for _ in range(3))
KEYS = [ChannelKey.generate(os.urandom) for _ in range(2)]


def notice(made: int, key: ChannelKey = KEYS[0], owner: Identity = OWNER, swarm: bytes = SWARM) -> ChannelKeyNotice:
    return make_notice(swarm, owner.peer_id, made, key, owner.sign)


def ring() -> ChannelKeys:
    return ChannelKeys(SWARM, [OWNER.peer_id, OTHER.peer_id], verify)


def test_of_two_keys_the_later_counts_in_whatever_order_they_come():
    old, new = notice(5), notice(6, KEYS[1])
    for first, second in [(old, new), (new, old)]:
        keys = ring()
        keys.take(first)
        keys.take(second)
        assert keys.public == {OWNER.peer_id: KEYS[1].public}
        assert [one.made for one in keys.notices] == [6]


def test_what_is_known_or_older_is_no_news():
    keys = ring()
    assert keys.is_news(notice(5))
    keys.take(notice(5))
    assert not keys.is_news(notice(5, KEYS[1]))
    assert not keys.is_news(notice(4))
    assert keys.is_news(notice(6))


def test_a_stranger_takes_no_room():
    keys = ring()
    assert not keys.is_news(notice(5, owner=STRANGER))
    keys.take(notice(5, owner=STRANGER))
    assert keys.notices == ()


@pytest.mark.parametrize(
    "forged",
    [
        ChannelKeyNotice(OTHER.peer_id, 5, notice(5).signature, KEYS[0].public),
        ChannelKeyNotice(OWNER.peer_id, 9, notice(5).signature, KEYS[0].public),
        ChannelKeyNotice(OWNER.peer_id, 5, notice(5).signature, KEYS[1].public),
        ChannelKeyNotice(OWNER.peer_id, 5, b"", KEYS[0].public),
        notice(5, swarm=b"t" * 32),
        ChannelKeyNotice(OWNER.peer_id, 5, notice(5).signature, KEYS[0].public[:-1]),
    ],
)
def test_what_its_owner_did_not_sign_for_this_swarm_is_refused(forged):
    keys = ring()
    keys.take(notice(4))
    with pytest.raises(SealingError, match=r"did not sign|bytes, not"):
        keys.take(forged)
    assert [one.made for one in keys.notices] == [4]


def test_what_is_signed_and_no_key_is_refused():
    class Mangled:
        public = b"\xff" * PUBLIC_BYTES

    with pytest.raises(SealingError, match="ML-KEM"):
        ring().take(make_notice(SWARM, OWNER.peer_id, 5, Mangled(), OWNER.sign))


def test_a_relayed_notice_is_as_good_as_the_owners():
    keys, neighbour = ring(), ring()
    neighbour.take(notice(5))
    for one in neighbour.notices:
        keys.take(one)
    assert keys.public == neighbour.public == {OWNER.peer_id: KEYS[0].public}


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_a_key_to_which_nothing_can_be_sealed_is_refused(point):
    """Whoever took it could not deal to its owner, and would have to end."""

    class Hollow:
        public = KEYS[0].public[:-32] + point

    keys = ring()
    with pytest.raises(SealingError, match="small order"):
        keys.take(make_notice(SWARM, OWNER.peer_id, 5, Hollow(), OWNER.sign))
    assert not keys.public
