"""Nodes whose rounds are private, in virtual time: the exact average, kills, restarts, liars about the base."""

from dataclasses import replace

import numpy as np

from consensus.meeting_messages import ChannelKeyNotice, Standing
from consensus.messages import Contribution
from consensus.shamir_sharing import ShamirSharing
from node import journal
from overlay.memory import MemoryTransport
from tests.node.swarm import complete, open_swarm

EIGHT = ShamirSharing(members=8, tolerated=2, packed=3, liars=1, absentees=1, clip=2.0, deadline_s=5.0)


def private(rounds, **options):
    return open_swarm(8, complete(8), "cliques", rounds=rounds, deadline_s=5.0, guard=EIGHT, **options)


def contributors(swarm, round_, member):
    names = {*member.rounds[round_].present, member.name}
    return [other for other in swarm.members if other.name in names]


def check_average(swarm, round_, members):
    for member in members:
        expected = np.mean([m.learner.contributed[round_] for m in contributors(swarm, round_, member)], axis=0)
        np.testing.assert_allclose(member.learner.adopted[round_], expected, atol=1e-4)


async def test_a_round_that_was_given_up_is_not_begun_a_second_time(autojump_clock):
    """The committee seems to be ahead for a moment: whoever began again would sign two histories of the round."""
    async with private(3) as swarm:
        member, begun = swarm.members[2], []
        await swarm.until(lambda: member.guard is not None)
        make, ahead = member.guard.round, member.runtime._ahead_of

        def counted(number, *rest, **others):
            begun.append(number)
            return make(number, *rest, **others)

        def flickering(number):
            seems = begun == [0] and len(glances) < 2
            glances.extend([number] if begun == [0] else [])
            return 1 if seems and len(glances) == 1 else ahead(number)

        glances = []
        member.guard.round, member.runtime._ahead_of = counted, flickering
        await swarm.until_all_finished()
        assert glances, "or else it never seemed so"
        assert sorted(set(begun)) == begun
        assert not faults(swarm)


def faults(swarm):
    return [event for member in swarm.members for event in member.events if isinstance(event, journal.Faulted)]


async def test_eight_nodes_adopt_the_average_of_plain_rounds_and_send_no_model(autojump_clock, monkeypatch):
    sent = set()
    send = MemoryTransport.send
    monkeypatch.setattr(MemoryTransport, "send", lambda self, p, m: (sent.add(type(m)), send(self, p, m))[1])
    async with private(4) as swarm:
        await swarm.until_all_finished()
        for round_ in range(4):
            check_average(swarm, round_, swarm.members)
            vectors = [member.learner.adopted[round_] for member in swarm.members]
            assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
            assert all(len(m.rounds[round_].present) == 7 for m in swarm.members)
            assert all(m.rounds[round_].outcome == "averaged" for m in swarm.members)
        assert not faults(swarm)
    assert ChannelKeyNotice in sent
    assert Contribution not in sent


async def test_a_killed_node_is_done_without(autojump_clock):
    async with private(5) as swarm:
        await swarm.until(lambda: len(swarm.members[3].rounds) >= 2)
        swarm.kill(3)
        await swarm.until_all_finished(but=(3,))
        others = [member for member in swarm.members if member.name != "n3"]
        for member in others:
            assert sorted(member.rounds) == list(range(5))
            assert member.rounds[4].outcome == "averaged"
            assert len(member.rounds[4].present) == 6
        check_average(swarm, 4, others)
        assert not faults(swarm)


async def test_a_restarted_node_takes_the_cells_base_and_plays_no_round_twice(autojump_clock):
    async with private(10) as swarm:
        await swarm.until(lambda: len(swarm.members[3].rounds) >= 2)
        swarm.kill(3)
        at = swarm.members[3].checkpoint
        await swarm.until(lambda: len(swarm.members[0].rounds) >= 5)
        swarm.start(3)
        await swarm.until_all_finished()
        rounds = [event.round for event in swarm.members[3].events if isinstance(event, journal.RoundClosed)]
        assert len(set(rounds)) == len(rounds)
        assert min(round_ for round_ in rounds if round_ >= at) >= 4
        told = {m.name: (m.rounds[9].outcome, m.rounds[9].present, sorted(m.rounds)) for m in swarm.members}
        vectors = [member.learner.adopted[9] for member in swarm.members]
        assert all(np.array_equal(vector, vectors[0]) for vector in vectors), told
        assert "n3" in swarm.members[0].rounds[9].present
        check_average(swarm, 9, swarm.members)


async def test_nodes_that_finished_and_started_again_tell_one_behind_what_the_run_came_to(autojump_clock):
    async with private(2, epochs_s={5: 3.0}) as swarm:
        others = [index for index in range(8) if index != 5]
        await swarm.until(lambda: all(swarm.members[index].finished for index in others))
        assert 1 not in swarm.members[5].rounds
        for index in others:
            swarm.kill(index)
        for index in others:
            swarm.start(index)
        await swarm.until_all_finished()
        assert len({member.guard.base.digest for member in swarm.members}) == 1
        assert swarm.members[5].rounds[1].outcome == "averaged"
        assert not faults(swarm)


async def test_the_number_of_a_round_is_written_down_before_it_starts(autojump_clock, monkeypatch):
    early = []
    send = MemoryTransport.send
    async with private(3) as swarm:
        members = {member.identity.peer_id: member for member in swarm.members}

        def watch(self, peer, message):
            if isinstance(message, Standing) and members[self.peer_id].checkpoint <= message.round:
                early.append(message)
            return send(self, peer, message)

        monkeypatch.setattr(MemoryTransport, "send", watch)
        await swarm.until_all_finished()
    assert not early


async def test_one_liar_about_the_base_moves_nobody(autojump_clock, monkeypatch):
    send = MemoryTransport.send
    async with private(4) as swarm:
        liar = swarm.id(5)

        def lie(self, peer, message):
            if isinstance(message, Standing) and self.peer_id == liar:
                message = Standing(message.round, b"?" * 32, 10**6)
            return send(self, peer, message)

        monkeypatch.setattr(MemoryTransport, "send", lie)
        await swarm.until_all_finished()
        for round_ in range(4):
            check_average(swarm, round_, swarm.members)


async def test_two_keys_of_a_stranger_are_refused(autojump_clock, monkeypatch):
    """A key that its sender did not sign is not sealed to, and the sender is named."""
    send = MemoryTransport.send

    async with private(2) as swarm:
        liar = swarm.id(5)

        def forge(self, peer, message):
            if isinstance(message, ChannelKeyNotice) and self.peer_id == liar:
                message = replace(message, signature=bytes(64))
            return send(self, peer, message)

        monkeypatch.setattr(MemoryTransport, "send", forge)
        await swarm.until_all_finished(but=(5,))
        assert {event.peer for event in faults(swarm)} >= {"n5"}
        assert swarm.members[0].rounds[1].outcome == "averaged"


FOUR = ShamirSharing(members=4, tolerated=1, packed=2, liars=0, absentees=1, clip=2.0, deadline_s=5.0)


async def test_cliques_average_in_private_and_their_bridges_in_the_open(autojump_clock):
    within = [(a + i, a + j) for a in (0, 4) for i, j in complete(4)]
    edges = tuple(sorted([*within, (3, 4)]))
    async with open_swarm(8, edges, "cliques", rounds=3, deadline_s=5.0, guard=FOUR) as swarm:
        await swarm.until_all_finished()
        for round_ in range(3):
            _, between, within_again = swarm.terms.plan.phases(round_)
            contributed = np.stack([member.learner.contributed[round_] for member in swarm.members])
            means = np.repeat([contributed[:4].mean(0), contributed[4:].mean(0)], 4, axis=0)
            adopted = np.stack([member.learner.adopted[round_] for member in swarm.members])
            np.testing.assert_allclose(adopted, within_again @ between @ means, atol=1e-4)
        assert not faults(swarm)
