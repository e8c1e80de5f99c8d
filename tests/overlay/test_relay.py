"""Members of a star that have no edge: what arrives is what was sent, whatever the centre does with it."""

import dataclasses
import itertools

import pytest

from consensus.committee import plan
from consensus.errors import RemoteFault
from consensus.private_messages import Item, Sealed, Vote
from consensus.relay_messages import MESSAGES_EACH, Relayed, relayed_statement
from consensus.signer import Signer
from crypto.identity import Identity, verify
from crypto.randomness import Stream
from crypto.sealing import ChannelKey
from overlay.relay import Arrived, Onward, Relay
from overlay.wire import Ping, encode

N, SWARM = 8, b"s" * 32
RING = [(i, (i + 1) % N) for i in range(N)]
PLAN = plan("stars", N, RING, 1, size=3)
NUMBER = next(number for number in range(99) if PLAN.centre_of(1, number) == 1)
ROUND = NUMBER  # of the star (0, 1, 2), whose centre is 1


class Table:
    def __init__(self, most_bytes=10_000, room=100_000):
        self.stream = Stream(b"t" * 32, "relay")
        self.identities = [Identity.generate(self.stream.take_bytes) for _ in range(N)]
        self.order = [identity.peer_id for identity in self.identities]
        self.keys = [ChannelKey.generate(self.stream.take_bytes) for _ in range(N)]
        self.known = dict(zip(self.order, (key.public for key in self.keys), strict=True))
        self.bounds = {"most_bytes": most_bytes, "room": room}
        self.relays = [self.relay(node) for node in range(N)]

    def relay(self, node, number=NUMBER):
        neighbours = {self.order[(node - 1) % N], self.order[(node + 1) % N]}
        signer = Signer(self.identities[node].sign, verify, self.stream.take_bytes)
        made = Relay(
            node, self.order, neighbours, signer, self.keys[node], lambda: self.known, swarm=SWARM, **self.bounds
        )
        made.reach(number, PLAN)
        return made

    def sent(self, message, origin=0, target=2):
        (onward,) = self.relays[origin].send(self.order[target], message)
        assert onward.peer == self.order[1]
        return onward.message

    def through(self, relayed, origin=0):
        return self.relays[1].hear(self.order[origin], relayed)

    def at_end(self, relayed, via=1, target=2):
        return self.relays[target].hear(self.order[via], relayed)


def sealed(text=b"a box", number=ROUND):
    return Sealed(number, 0, text)


@pytest.fixture
def table():
    return Table()


def test_a_message_arrives_as_it_was_sent(table):
    for message in (sealed(), Item(ROUND, 1, 2, b"s" * 64, b"body"), Vote(ROUND, 1, 0, 1, b"v" * 32, b"s" * 64)):
        onward = table.through(table.sent(message))
        assert onward == Onward(table.order[2], onward.message)
        arrived = table.at_end(onward.message)
        assert isinstance(arrived, Arrived)
        assert arrived.origin == table.order[0]
        head, body = encode(arrived.message)
        assert head + bytes(body) == b"".join(map(bytes, encode(message)))


def test_the_centre_sees_ciphertext_alone(table):
    secret = b"a share of an update, in the clear"
    relayed = table.sent(sealed(secret))
    assert secret not in bytes(relayed.body)
    with pytest.raises(RemoteFault):  # what it makes of another's message in its own name does not open either
        table.relays[1]._read(table.order[0], ROUND, bytes(relayed.body))
    assert table.relays[1].hear(table.order[0], dataclasses.replace(relayed, target=1)) is None
    again = table.sent(sealed(secret))
    assert bytes(again.body)[-len(secret) :] != bytes(relayed.body)[-len(secret) :]  # a nonce is used once


@pytest.mark.parametrize("change", [{"round": ROUND + 1}, {"target": 3}], ids=str)
def test_what_a_centre_sends_astray_is_passed_over(table, change):
    relayed = table.through(table.sent(sealed())).message
    astray = dataclasses.replace(relayed, **change)
    if "round" in change and PLAN.centre_of(2, ROUND + 1) == 1 and PLAN.centre_of(0, ROUND + 1) == 1:
        astray = dataclasses.replace(relayed, round=ROUND + PLAN.lead + 1)
    assert table.at_end(astray) is None
    assert isinstance(table.at_end(relayed), Arrived)  # and nothing is spoiled by it


@pytest.mark.parametrize(
    "change", [{"body": b"x" * 1300}, {"sequence": 1}, {"origin": 1}, {"signature": bytes(64)}], ids=str
)
def test_what_a_centre_alters_is_refused_and_it_is_named(table, change):
    relayed = table.through(table.sent(sealed())).message
    with pytest.raises(RemoteFault, match="did not sign") as caught:
        table.at_end(dataclasses.replace(relayed, **change))
    assert caught.value.culprit == table.order[1]  # it should have looked before it passed this on
    assert isinstance(table.at_end(relayed), Arrived)


def test_every_flipped_bit_of_a_body_is_noticed(table):
    relayed = table.sent(sealed())
    for place in range(0, len(relayed.body), 97):
        body = bytearray(relayed.body)
        body[place] ^= 1
        with pytest.raises(RemoteFault, match="did not sign"):
            table.at_end(dataclasses.replace(relayed, body=bytes(body)))


def test_a_replay_arrives_once_and_order_does_not_matter(table):
    sent = [table.sent(sealed(bytes([i]))) for i in range(6)]
    order = [3, 0, 5, 3, 3, 1, 0, 2, 4, 5]
    arrived = [found.message.body for found in map(table.at_end, [sent[i] for i in order]) if found]
    assert [bytes(body) for body in arrived] == [bytes([i]) for i in (3, 0, 5, 1, 2, 4)]


def test_an_old_round_is_not_heard_again(table):
    relayed = table.sent(sealed())
    table.relays[2].reach(NUMBER + PLAN.lead + 1, PLAN)
    assert table.at_end(relayed) is None


def test_a_restarted_target_takes_what_is_sent_to_its_channel_key(table):
    table.relays[2] = table.relay(2)
    assert isinstance(table.at_end(table.sent(sealed())), Arrived)
    table.keys[2] = ChannelKey.generate(table.stream.take_bytes)
    table.relays[2] = table.relay(2)
    assert table.at_end(table.sent(sealed())) is None  # sealed for the key of before: lost, and nobody's fault
    table.known[table.order[2]] = table.keys[2].public
    assert isinstance(table.at_end(table.sent(sealed())), Arrived)


def test_a_centre_passes_on_its_own_neighbours_words_alone(table):
    relayed = table.sent(sealed())
    assert table.relays[1].hear(table.order[2], relayed) is None  # not from its origin
    assert table.relays[3].hear(table.order[2], relayed) is None  # not of a star that it is the centre of
    assert table.relays[1].hear(table.order[0], dataclasses.replace(relayed, target=5)) is None
    assert table.relays[1].hear(table.order[0], dataclasses.replace(relayed, origin=99)) is None
    with pytest.raises(RemoteFault) as caught:
        table.relays[1].hear(table.order[0], dataclasses.replace(relayed, sequence=9))
    assert caught.value.culprit == table.order[0]
    assert isinstance(table.through(relayed), Onward)
    assert table.through(relayed) is None  # once


def test_nobody_but_the_centre_is_believed(table):
    relayed = table.sent(sealed())
    assert table.relays[2].hear(table.order[3], relayed) is None


def test_rounds_far_from_ours_are_not_passed_on(table):
    far = next(number for number in itertools.count(NUMBER + PLAN.lead + 1) if PLAN.centre_of(1, number) == 1)
    for relay in (table.relays[0], table.relays[2]):
        relay.reach(far, PLAN)
    (onward,) = table.relays[0].send(table.order[2], sealed(number=far))
    assert table.through(onward.message) is None
    table.relays[1].reach(far, PLAN)
    assert isinstance(table.through(onward.message), Onward)
    assert table.relays[0].send(table.order[2], sealed()) == []  # a round that is over for us


def test_without_a_star_in_common_or_a_key_nothing_goes(table):
    assert table.relays[0].send(table.order[4], sealed()) == []
    assert table.relays[1].send(table.order[2], sealed()) == []  # a neighbour: directly
    assert table.relays[0].send("12D3KooWstranger", sealed()) == []
    del table.known[table.order[2]]
    assert table.relays[0].send(table.order[2], sealed()) == []


def test_what_a_member_may_have_passed_on_is_bounded(table):
    long = table.sent(sealed(bytes(8000)))
    table.relays[1]._room = 5 * len(long.body)
    passed = [table.through(table.sent(sealed(bytes(8000)))) for _ in range(9)]
    assert [onward is not None for onward in passed] == [True] * 5 + [False] * 4
    assert table.through(dataclasses.replace(long, sequence=MESSAGES_EACH)) is None
    table.relays[0]._sent[(ROUND, table.order[2])] = MESSAGES_EACH
    assert table.relays[0].send(table.order[2], sealed()) == []


def relayed_by(table, frame):
    """What a lying member seals: anything."""
    relay = table.relays[0]
    body = relay._sender(ROUND, table.order[2], table.known[table.order[2]]).seal(frame, 7)
    statement = relayed_statement(SWARM, table.order[0], table.order[2], ROUND, 7, body)
    return Relayed(ROUND, 0, 2, 7, table.identities[0].sign(statement), body)


def frame(message):
    head, body = encode(message)
    return head + bytes(body)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no frame",
        frame(sealed()) * 2,
        frame(sealed())[:-1],
        frame(sealed(number=ROUND + 1)),
        frame(Ping(1)),
        frame(Relayed(ROUND, 0, 2, 0, b"s" * 64, b"nested")),
        frame(sealed(bytes(20_000))),
    ],
    ids=["nothing", "noise", "two", "half", "another round", "ping", "nested", "too long"],
)
def test_what_is_no_message_of_a_round_is_its_origins_fault(table, content):
    with pytest.raises(RemoteFault) as caught:
        table.at_end(relayed_by(table, content))
    assert caught.value.culprit == table.order[0]
