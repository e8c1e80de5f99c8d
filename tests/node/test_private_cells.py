"""Private rounds in cells that are drawn: stars of a ring, and a grid; in virtual time."""

import copy
import dataclasses
import random

import numpy as np
import pytest

from consensus.masked_sharing import MaskedSharing
from consensus.messages import Contribution
from consensus.relay_messages import Relayed
from consensus.seeds import Seed, Seeds
from consensus.shamir_sharing import ShamirSharing
from node import journal
from node.attendance import Attendance
from overlay.memory import MemoryTransport
from tests.node.swarm import open_swarm, ring

THREE = ShamirSharing(members=3, tolerated=1, packed=1, liars=0, absentees=0, clip=2.0, deadline_s=5.0)
MASKS = MaskedSharing(members=3, tolerated=1, absentees=0, clip=2.0, deadline_s=5.0)
FOUR = ShamirSharing(members=4, tolerated=1, packed=2, liars=0, absentees=1, clip=2.0, deadline_s=5.0)


def stars(n, rounds, guard=MASKS, epoch=8, **options):
    """Masks cost little, and what is here is about cells."""
    return open_swarm(n, ring(n), "stars", rounds=rounds, size=3, deadline_s=5.0, guard=guard, epoch=epoch, **options)


def faults(swarm):
    return [event for member in swarm.members for event in member.events if isinstance(event, journal.Faulted)]


def spread(swarm, round_):
    vectors = np.stack([member.learner.adopted[round_] for member in swarm.members])
    return float(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).mean())


async def test_stars_of_a_ring_average_in_private(autojump_clock):
    """Every star that is drawn opens the mean of its three, two of whom have no edge; the rest sit the round out."""
    async with stars(8, 7, THREE, epoch=3) as swarm:
        await swarm.until_all_finished()
        plans = [member.cells.plan for member in swarm.members]
        assert len({plan.seeds for plan in plans}) == 1
        assert [seed.epoch for seed in plans[0].seeds.known] == [0, 1, 2]
        opened = 0
        for round_ in range(7):
            for cell in plans[0].cells(round_):
                members = [swarm.members[index] for index in cell]
                expected = np.mean([m.learner.contributed[round_] for m in members], axis=0)
                for member in members:
                    assert set(member.rounds[round_].present) == {m.name for m in members} - {member.name}
                    np.testing.assert_allclose(member.learner.adopted[round_], expected, atol=1e-4)
                opened += len(cell) == 3
        assert opened > 8
        assert not faults(swarm)
        assert not any(isinstance(event, journal.Unseeded) for m in swarm.members for event in m.events)


async def test_all_of_a_ring_come_near_the_average(autojump_clock):
    async with stars(6, 24) as swarm:
        for index, member in enumerate(swarm.members):
            member.learner.vector_ = np.full(8, index / 16, np.float32)
            member.learner.step = 0.0
        await swarm.until_all_finished()
        for member in swarm.members:
            np.testing.assert_allclose(member.learner.adopted[23], 2.5 / 16, atol=0.02)
        assert spread(swarm, 23) < 0.05 * spread(swarm, 0)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_killed_node_costs_its_stars_and_nobody_else(autojump_clock, restart):
    async with stars(8, 24, seed=2) as swarm:
        await swarm.until(lambda: len(swarm.members[3].rounds) >= 4)
        swarm.kill(3)
        if restart:
            await swarm.until(lambda: len(swarm.members[0].rounds) >= 9)
            swarm.start(3)
        await swarm.until_all_finished(but=() if restart else (3,))
        rest = [member for index, member in enumerate(swarm.members) if index != 3]
        for index, member in enumerate(swarm.members):
            if index not in (2, 3, 4):  # stars are drawn by dice: those beside the dead one may well have no luck
                assert any(closed.present for number, closed in member.rounds.items() if number > 8)
        for member in rest:
            # Rounds with the one that is away, until all know: who has it for a centre or neighbour has more of them.
            assert sum(closed.outcome == "void" for closed in member.rounds.values()) <= 6
            assert sorted(member.rounds) == list(range(24))
        met = sum(bool(closed.present) for member in rest for closed in member.rounds.values())
        assert met > len(rest) * 24 / 3  # three in four, but for the stars with the one that is dead
        if restart:
            assert any(closed.present for number, closed in swarm.members[3].rounds.items() if number > 11)
            assert swarm.members[3].cells.plan.seeds == swarm.members[0].cells.plan.seeds
        assert not faults(swarm)


async def test_a_private_grid_gives_all_the_same_average(autojump_clock):
    async with open_swarm(9, (), "grid", rounds=4, size=3, deadline_s=5.0, guard=THREE, epoch=2) as swarm:
        await swarm.until_all_finished()
        for round_ in range(4):
            expected = np.mean([member.learner.contributed[round_] for member in swarm.members], axis=0)
            adopted = [member.learner.adopted[round_] for member in swarm.members]
            np.testing.assert_allclose(adopted[0], expected, atol=1e-4)
            assert all(np.array_equal(vector, adopted[0]) for vector in adopted)
        assert [seed.epoch for seed in swarm.members[5].cells.plan.seeds.known][:2] == [0, 1]
        assert not faults(swarm)


async def test_a_seed_that_comes_between_training_and_the_round_ends_nobody(autojump_clock):
    """Who is late learns at any time that its present round is drawn from another seed than it thought."""
    async with stars(8, 2) as swarm:
        member = swarm.members[0]
        update = member.learner.update
        left: list[int] = []

        def learn(base):
            number = max(member.rounds, default=-1) + 1
            if not left:  # by the new seed it would sit the round out
                member.cells.plan = drawn_anew(member.cells.plan, lambda plan: plan.cell_of(0, number) == (0,))
            left.append(number)
            return update(base)

        member.learner.update = learn
        await swarm.until_all_finished()
        assert left
        assert max(member.rounds) == 1


def drawn_anew(plan, fits):
    """The plan with another seed by which it `fits`."""
    for value in range(256):
        other = copy.copy(plan)
        other.seeds = Seeds(8, (Seed(0, 0, bytes([value]) * 32),))
        if fits(other):
            return other
    raise AssertionError("no such seed")


async def test_a_seed_that_comes_while_a_node_waits_for_its_neighbours_has_no_model_sent_in_the_open(
    autojump_clock, monkeypatch
):
    """It sat the round out when that began: drawn into a star by the new seed, it must not play it without cover."""
    sent = []
    send = MemoryTransport.send
    monkeypatch.setattr(MemoryTransport, "send", lambda self, p, m: (sent.append(type(m)), send(self, p, m))[1])
    async with stars(8, 2) as swarm:
        changed: list[int] = []

        async def learn(attendance, waited_for, hear):
            cells = attendance._cells
            number, me = cells._number, cells._me
            if not changed:
                cells.plan = drawn_anew(cells.plan, lambda plan: plan.cell_of(me, number) != (me,))
            changed.append(number)

        monkeypatch.setattr(Attendance, "keep_pace", learn)
        await swarm.until_all_finished()
    assert changed
    assert Contribution not in sent


class LyingCentre:
    """Does to what it should pass on what it likes; speaks honestly for itself."""

    def __init__(self, seed):
        self.random, self.kept = random.Random(seed), []

    def __call__(self, message):
        match self.random.randrange(6):
            case 0:
                return []
            case 1:
                body = bytearray(message.body)
                body[self.random.randrange(len(body))] ^= 1
                return [dataclasses.replace(message, body=bytes(body))]
            case 2:
                return [message, *self.random.sample(self.kept, min(3, len(self.kept)))]
            case 3:
                self.kept.append(message)  # late, if at all
                return []
            case 4:
                return [dataclasses.replace(message, sequence=self.random.randrange(64))]
            case _:
                self.kept.append(message)
                return [message]


@pytest.mark.parametrize("guard", [MASKS, THREE], ids=["masks", "shamir"])
async def test_a_lying_centre_costs_a_round_and_never_gives_a_wrong_sum(autojump_clock, monkeypatch, guard):
    send, lie = MemoryTransport.send, LyingCentre(1)
    async with stars(6, 5, guard) as swarm:
        liar = swarm.id(2)

        def lying(self, peer, message):
            if self.peer_id == liar and isinstance(message, Relayed) and message.origin != 2:
                for said in lie(message):
                    send(self, peer, said)
            else:
                send(self, peer, message)

        monkeypatch.setattr(MemoryTransport, "send", lying)
        await swarm.until_all_finished()
        plan, void = swarm.members[0].cells.plan, 0
        for index, member in enumerate(swarm.members):
            for round_, closed in member.rounds.items():
                star = [swarm.members[other] for other in plan.cell_of(index, round_)]
                expected = member.learner.contributed[round_]
                if closed.present:
                    assert {member.name, *closed.present} == {one.name for one in star}
                    expected = np.mean([one.learner.contributed[round_] for one in star], axis=0)
                elif len(star) > 1:
                    void += 1  # or a star beside it, whose members came late
                np.testing.assert_allclose(member.learner.adopted[round_], expected, atol=1e-4)
        assert void
        assert {fault.peer for fault in faults(swarm)} == {"n2"}


async def test_a_paused_node_costs_a_grid_nothing_but_its_word(autojump_clock):
    async with open_swarm(4, (), "grid", rounds=8, size=4, deadline_s=5.0, guard=FOUR, epoch=4) as swarm:
        paused = swarm.members[2]
        await swarm.until(lambda: len(paused.rounds) >= 2)
        await paused.runtime.controls.pause("ops", "")
        at = len(paused.rounds)
        await swarm.until_all_finished(but=(2,))
        for member in swarm.members:
            assert not any("n2" in closed.deadline_missed for closed in member.rounds.values())
            assert all(closed.void is None for closed in member.rounds.values())
        assert len(paused.rounds) == at
        await paused.runtime.controls.resume("ops", "")
        await swarm.until_all_finished()
        assert not faults(swarm)
