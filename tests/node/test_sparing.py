"""A vector that a peer has already travels as its digest, and in full where the peer has another or none."""

import numpy as np
import pytest

from consensus.messages import Contribution, Unchanged, Unheard
from crypto.identity import PeerId
from node.sparing import SparingTransport, digest_of
from overlay.memory import Conditions
from overlay.transport import PeerDown, PeerUp, Received
from overlay.wire import Ping
from tests.node.swarm import Drift, complete, open_swarm

A, B = PeerId("a"), PeerId("b")


class Wire:
    """A transport that notes what is sent, and hands out what a test puts in."""

    peer_id, address = A, "nowhere"

    def __init__(self):
        self.sent, self.events = [], []

    def send(self, peer, message):
        self.sent.append((peer, message))

    async def next_event(self):
        return self.events.pop(0)

    def traffic(self):
        return {}


def vector(value):
    return np.full(3, value, np.float32)


def kinds(wire):
    return [type(message) for _, message in wire.sent]


def test_the_same_vector_is_sent_once_to_each_peer_and_another_in_full():
    wire = Wire()
    transport = SparingTransport(wire)
    for peer, round_, value in [(A, 0, 1), (A, 1, 1), (B, 1, 1), (A, 2, 2), (A, 3, 2)]:
        transport.send(peer, Contribution(round_, 0, vector(value)))
    assert kinds(wire) == [Contribution, Unchanged, Contribution, Contribution, Unchanged]
    assert wire.sent[1][1] == Unchanged(1, digest_of(vector(1)))


def test_later_phases_and_other_messages_are_left_alone():
    wire = Wire()
    transport = SparingTransport(wire)
    for message in (Contribution(0, 1, vector(1)), Contribution(1, 1, vector(1)), Ping(4)):
        transport.send(A, message)
    assert kinds(wire) == [Contribution, Contribution, Ping]


async def test_a_peer_that_says_unchanged_all_day_costs_one_digest(monkeypatch):
    """Of a million values a digest takes 5 ms of the loop, and the message is 40 bytes."""
    made = []
    monkeypatch.setattr("node.sparing.digest_of", lambda vector: made.append(1) or digest_of(vector))
    wire = Wire()
    transport = SparingTransport(wire)
    lies = [Received(B, Unchanged(1, bytes(32)))] * 100
    wire.events += [Received(B, Contribution(0, 0, vector(1))), *lies, Received(B, Unchanged(1, digest_of(vector(1))))]
    assert (await transport.next_event()).message.round == 0
    assert np.array_equal((await transport.next_event()).message.vector, vector(1))
    assert kinds(wire) == [Unheard] * 100
    assert len(made) == 1


async def test_a_digest_of_what_came_last_is_that_contribution():
    wire = Wire()
    transport = SparingTransport(wire)
    wire.events = [Received(B, Contribution(0, 0, vector(1))), Received(B, Unchanged(1, digest_of(vector(1))))]
    await transport.next_event()
    event = await transport.next_event()
    assert (event.peer, event.message.round, event.message.phase) == (B, 1, 0)
    np.testing.assert_array_equal(event.message.vector, vector(1))
    assert wire.sent == []


@pytest.mark.parametrize("before", [[], [Contribution(0, 0, vector(2))], [Contribution(0, 1, vector(1))]])
async def test_a_digest_of_something_else_is_asked_for_and_not_heard(before):
    wire = Wire()
    transport = SparingTransport(wire)
    wire.events = [*(Received(B, one) for one in before), Received(B, Unchanged(1, digest_of(vector(1))))]
    wire.events.append(PeerDown(B, "over"))
    events = [await transport.next_event() for _ in range(len(before) + 1)]
    assert events[-1] == PeerDown(B, "over")
    assert wire.sent == [(B, Unheard(1))]


async def test_who_lacks_it_is_sent_it_once_in_its_round_and_never_otherwise():
    wire = Wire()
    transport = SparingTransport(wire)
    for round_ in (0, 1):
        transport.send(B, Contribution(round_, 0, vector(1)))
    wire.sent.clear()
    wire.events = [Received(B, Unheard(one)) for one in (0, 1, 1)] + [Received(A, Unheard(1)), PeerDown(B, "over")]
    await transport.next_event()
    assert kinds(wire) == []  # the first asked for another round, and spent what was owed
    transport.send(B, Contribution(2, 0, vector(1)))
    wire.events = [Received(B, Unheard(2)), Received(B, Unheard(2)), PeerDown(B, "over")]
    await transport.next_event()
    assert kinds(wire) == [Unchanged, Contribution]
    assert wire.sent[1][1].round == 2


async def test_a_peer_that_comes_back_is_sent_everything_anew():
    wire = Wire()
    transport = SparingTransport(wire)
    transport.send(B, Contribution(0, 0, vector(1)))
    wire.events = [PeerUp(B)]
    await transport.next_event()
    transport.send(B, Contribution(1, 0, vector(1)))
    assert kinds(wire) == [Contribution, Contribution]


class Settling(Drift):
    """Learns less and less."""

    def train(self, round, pulse):
        self.step = 0.5 * 0.7**round
        return super().train(round, pulse)


def settling(n):
    return [Settling(np.ones(200, np.float32), np.random.default_rng([1, index])) for index in range(n)]


@pytest.mark.parametrize("loss", [0.0, 0.05])
async def test_running_nodes_spare_bytes_stay_together_and_wait_for_nobody(autojump_clock, loss):
    sent, apart = {}, {}
    for sparing in (0.0, 0.05):
        conditions = Conditions(latency_s=0.01, jitter_s=0.01, loss=loss)
        options = {"learners": settling(4), "sparing": sparing, "conditions": conditions, "deadline_s": 1.0}
        async with open_swarm(4, complete(4), "cliques", rounds=20, **options) as swarm:
            await swarm.until_all_finished()
            rows = [row for member in swarm.members for row in member.rounds.values()]
            if not loss:
                assert all(len(row.present) == 3 for row in rows)
            sent[sparing] = sum(row.bytes_sent for row in rows)
            models = np.stack([member.learner.vector() for member in swarm.members])
            apart[sparing] = np.linalg.norm(models - models.mean(axis=0), axis=1).max() / np.linalg.norm(models[0])
    assert sent[0.05] < 0.8 * sent[0.0]
    assert apart[0.05] < 0.06
