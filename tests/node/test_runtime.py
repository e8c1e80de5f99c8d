"""The loop of a node, a swarm of them at a time, in virtual time: kills, hangs, losses, partitions."""

import hashlib
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio
import trio.testing

from consensus.messages import Contribution
from consensus.rules import lookup
from node import journal
from overlay.memory import Conditions
from overlay.transport import PeerUp
from tests.node.swarm import GREETING, complete, open_swarm, ring


def distance(swarm, round_):
    vectors = np.stack([member.learner.adopted[round_] for member in swarm.members])
    return np.abs(vectors - vectors.mean(0)).max()


async def test_a_clique_adopts_the_exact_average_every_round(autojump_clock):
    async with open_swarm(6, complete(6), "cliques", rounds=8) as swarm:
        await swarm.until_all_finished()
        for round_ in range(8):
            expected = np.mean([m.learner.contributed[round_] for m in swarm.members], axis=0)
            for member in swarm.members:
                np.testing.assert_allclose(member.learner.adopted[round_], expected, atol=1e-6)
                assert member.rounds[round_].outcome == "averaged"
                assert len(member.rounds[round_].present) == 5


async def test_a_grid_of_nine_reaches_the_exact_average_in_two_phases(autojump_clock):
    async with open_swarm(9, complete(9), "grid", rounds=5, size=3) as swarm:
        await swarm.until_all_finished()
        for round_ in range(5):
            expected = np.mean([m.learner.contributed[round_] for m in swarm.members], axis=0)
            for member in swarm.members:
                np.testing.assert_allclose(member.learner.adopted[round_], expected, atol=1e-5)


async def test_a_ring_mixes_as_its_matrix_says(autojump_clock):
    async with open_swarm(5, ring(5), rounds=6) as swarm:
        await swarm.until_all_finished()
        (W,) = swarm.terms.plan.phases(0)
        for round_ in range(6):
            contributed = np.stack([m.learner.contributed[round_] for m in swarm.members])
            adopted = np.stack([m.learner.adopted[round_] for m in swarm.members])
            np.testing.assert_allclose(adopted, W @ contributed, atol=1e-5)


async def test_a_killed_node_costs_nobody_more_than_one_deadline(autojump_clock):
    async with open_swarm(8, complete(8), "cliques", rounds=60) as swarm:
        await swarm.until(lambda: swarm.members[3].checkpoint >= 20)
        swarm.kill(3)
        await swarm.until_all_finished(but=(3,))
        for index, member in enumerate(swarm.members):
            if index != 3:
                assert sum("n3" in r.deadline_missed for r in member.rounds.values()) <= 1
                assert sorted(member.rounds) == list(range(60))
                assert all(r.outcome == "averaged" for r in member.rounds.values())


async def test_a_restarted_node_resumes_its_count_and_catches_up(autojump_clock):
    async with open_swarm(8, complete(8), "cliques", rounds=80) as swarm:
        await swarm.until(lambda: swarm.members[3].checkpoint >= 20)
        swarm.kill(3)
        at = swarm.members[3].checkpoint
        await swarm.until(lambda: swarm.members[0].checkpoint >= 40)
        swarm.start(3)
        await swarm.until_all_finished()
        rounds = swarm.members[3].rounds
        first_after = min(r for r in rounds if r >= at)
        assert rounds[first_after].skipped == first_after - at
        assert first_after >= 40
        assert sorted(rounds)[-1] == 79
        assert distance(swarm, 79) < 1e-6


async def test_a_node_restarted_after_the_others_finished_gets_their_last_round(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=30) as swarm:
        await swarm.until(lambda: swarm.members[3].checkpoint >= 5)
        swarm.kill(3)
        await swarm.until_all_finished(but=(3,))
        swarm.start(3)
        await swarm.until_all_finished()
        last = swarm.members[3].rounds[29]
        assert last.present == ("n0", "n1", "n2")
        assert last.deadline_missed == ()


async def test_a_hung_node_is_waited_for_once(autojump_clock):
    """Its connections stand and nothing comes: each neighbour misses one deadline and goes on without it."""
    conditions = Conditions(latency_s=0.01, detection_s=1e9)
    async with open_swarm(5, complete(5), "cliques", rounds=20, conditions=conditions, deadline_s=5.0) as swarm:
        await swarm.until(lambda: swarm.members[2].checkpoint >= 5)
        swarm.kill(2)
        await swarm.until_all_finished(but=(2,))
        for index in (0, 1, 3, 4):
            missed = [r.round for r in swarm.members[index].rounds.values() if "n2" in r.deadline_missed]
            assert len(missed) == 1


async def test_a_minority_keeps_its_own_model_and_rejoins(autojump_clock):
    conditions = Conditions(latency_s=0.01, detection_s=0.5)
    options = {"rounds": 40, "conditions": conditions, "deadline_s": 2.0}
    async with open_swarm(5, complete(5), "cliques", **options) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        swarm.network.partition([[swarm.id(0), swarm.id(1)]])
        await swarm.until(lambda: any(r.outcome == "void" for r in swarm.members[0].rounds.values()))
        void = next(r for r in swarm.members[0].rounds.values() if r.outcome == "void")
        assert void.consensus_distance is None
        np.testing.assert_array_equal(
            swarm.members[0].learner.adopted[void.round], swarm.members[0].learner.contributed[void.round]
        )
        swarm.network.heal()
        await swarm.until_all_finished()
        assert distance(swarm, 39) < 1e-6


@pytest.mark.parametrize("kind", ["neighbourhood", "cliques"])
async def test_every_round_closes_under_heavy_loss(autojump_clock, kind):
    conditions = Conditions(latency_s=0.01, jitter_s=0.05, loss=0.2)
    edges = complete(6)
    async with open_swarm(6, edges, kind, rounds=30, conditions=conditions, deadline_s=1.0, quorum=0.3) as swarm:
        await swarm.until_all_finished()
        for member in swarm.members:
            assert all(np.isfinite(v).all() for v in member.learner.adopted.values())
            assert max(member.rounds) == 29


async def test_a_slow_node_is_averaged_with_what_the_others_have_by_then(autojump_clock):
    """Its training outlasts the others' deadline: it joins the round that they open next, and they have its word."""
    async with open_swarm(4, complete(4), "cliques", rounds=60, deadline_s=4.0, epochs_s={3: 6.0, 0: 1.0}) as swarm:
        await swarm.until_all_finished()
        slow = swarm.members[3].rounds
        assert all(r.outcome == "averaged" for r in slow.values())
        assert len(slow) >= 5
        heard = sum("n3" in r.present for r in swarm.members[0].rounds.values())
        assert heard >= len(slow) - 2


async def test_a_finished_node_that_was_restarted_still_helps_one_that_is_behind(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=20) as swarm:
        await swarm.until(lambda: swarm.members[3].checkpoint >= 5)
        swarm.kill(3)
        await swarm.until_all_finished(but=(3,))
        for index in range(3):
            swarm.kill(index)
            swarm.start(index)
        before = trio.current_time()
        swarm.start(3)
        await swarm.until_all_finished()
        assert swarm.members[3].rounds[19].outcome == "averaged"
        assert trio.current_time() - before < 10.0


async def test_a_silent_peer_that_comes_and_goes_stalls_nobody(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=60, deadline_s=5.0) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        swarm.kill(3)
        roster = swarm.roster(3)
        while not swarm.members[0].finished:
            async with swarm.network.open(roster.me, roster.peers, GREETING):
                await trio.sleep(1.0)
            await trio.sleep(0.5)
        told = [e for e in swarm.members[0].events if getattr(e, "peer", None) == "n3" and e.at > 60]
        assert len(told) <= 1 + trio.current_time() / 3
        slow = [r.round for r in swarm.members[0].rounds.values() if r.exchange_s > 1.5]
        assert len(slow) <= 1


async def test_a_restarted_node_does_not_hold_up_the_swarm_while_another_is_dead(autojump_clock):
    conditions = Conditions(latency_s=0.01, detection_s=0.5)
    async with open_swarm(5, complete(5), "cliques", rounds=80, conditions=conditions) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        swarm.kill(3)
        swarm.kill(4)
        await swarm.until(lambda: swarm.members[0].checkpoint >= 10)
        swarm.start(4)
        await swarm.until(lambda: any("n4" in r.present for r in list(swarm.members[0].rounds.values())[11:]))
        await swarm.until_all_finished(but=(3,))
        assert max(r.round_s for r in swarm.members[0].rounds.values()) < 2.0


def history(swarm) -> str:
    lines = [event.model_dump_json() for member in swarm.members for event in member.events]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def run_faulty(seed: int) -> str:
    conditions = Conditions(latency_s=0.02, jitter_s=0.03, loss=0.02, detection_s=0.5)
    edges = tuple((i, j) for i in range(16) for j in range(i + 1, 16) if (j - i) in (1, 2, 14, 15))
    options = {"conditions": conditions, "deadline_s": 1.0, "quorum": 0.5, "seed": seed}
    async with open_swarm(16, edges, rounds=40, **options) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 8)
        swarm.kill(5)
        await swarm.until(lambda: swarm.members[0].checkpoint >= 16)
        swarm.start(5)
        swarm.network.partition([[swarm.id(i) for i in range(8)]])
        await trio.sleep(5)
        swarm.network.heal()
        await swarm.until_all_finished()
        assert all(max(member.rounds) == 39 for member in swarm.members)
        return history(swarm)


def test_16_nodes_40_rounds_with_faults_same_seed_same_history():
    def play(seed: int) -> str:
        return trio.run(run_faulty, seed, clock=trio.testing.MockClock(autojump_threshold=0))

    first = play(3)
    assert first == play(3)
    assert first != play(4)


def nonsense(round_: int, phase: int = 0, size: int = 8) -> Contribution:
    return Contribution(round_, phase, np.full(size, np.nan, np.float32))


@asynccontextmanager
async def impostor(swarm, index):
    """In place of a node, which is killed: its connections to all its peers, and who they are."""
    swarm.kill(index)
    roster = swarm.roster(index)
    async with swarm.network.open(roster.me, roster.peers, GREETING) as liar:
        up = set()
        while up != roster.peers:
            if isinstance(event := await liar.next_event(), PeerUp):
                up.add(event.peer)
        yield liar, sorted(roster.peers)


async def test_a_peer_that_sends_nonsense_is_evidence_and_stalls_nobody(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=60) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 2)
        async with impostor(swarm, 1) as (liar, peers):
            now = swarm.members[0].checkpoint
            for message in (*(nonsense(now + i) for i in range(5)), nonsense(2**31 - 1, phase=31, size=1)):
                for peer in peers:
                    liar.send(peer, message)
                await trio.sleep(0.1)
            await swarm.until_all_finished(but=(1,))
        for index in (0, 2, 3):
            faults = [e for e in swarm.members[index].events if isinstance(e, journal.Faulted)]
            assert {fault.peer for fault in faults} == {"n1"}
            assert sorted(swarm.members[index].rounds) == list(range(60))
            assert all(np.isfinite(v).all() for v in swarm.members[index].learner.adopted.values())


async def test_a_peer_whose_vector_is_as_long_as_floats_get_ends_nobody(autojump_clock):
    """It is finite, and what the journal tells of it (the distance to it) was more than a figure there may be."""
    async with open_swarm(4, complete(4), "cliques", rounds=12, rule=lookup("median", 1)) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 2)
        async with impostor(swarm, 1) as (liar, peers):
            now = swarm.members[0].checkpoint
            for number in range(now, now + 4):
                for peer in peers:
                    liar.send(peer, Contribution(number, 0, np.full(8, 3e38, np.float32)))
            await swarm.until_all_finished(but=(1,))
        for index in (0, 2, 3):
            rounds = swarm.members[index].rounds
            assert sorted(rounds) == list(range(12))
            assert any("n1" in rounds[number].present for number in range(now, now + 4))
