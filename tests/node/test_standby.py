"""Pauses, orders and ends of nodes in a swarm, in virtual time."""

import numpy as np
import pytest
import trio

from detect.peers.quarantine import Response, Verdict
from detect.peers.watch import PeerWatch, WatchTerms
from node import journal
from node.controls import ControlRefused
from node.learning.learner import Restored
from node.watch import Lookout
from overlay.memory import Conditions
from tests.node.swarm import Drift, complete, open_swarm, ring

CALM = Conditions(latency_s=0.01, detection_s=0.5)


def told(member, *kinds):
    return [event for event in member.events if isinstance(event, kinds)]


def pauses(member):
    return [(e.type, getattr(e, "cause", None)) for e in told(member, journal.Paused, journal.Unpaused)]


def watching(swarm, index):
    watch = PeerWatch(swarm.roster(index).peers, WatchTerms(Response(quarantine_s=5.0)), me=swarm.id(index))
    return Lookout(watch, trio.current_time)


# --- by an operator ---------------------------------------------------------------------------------------------------


async def test_a_pause_waits_for_the_end_of_the_round_and_costs_the_others_no_deadline(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=60, conditions=CALM, deadline_s=5.0) as swarm:
        paused = swarm.members[2]
        await swarm.until(lambda: paused.checkpoint >= 5)
        await paused.runtime.controls.pause("ops", "new cooling")
        at = paused.checkpoint
        assert sorted(paused.rounds) == list(range(at))
        operated, event = told(paused, journal.Operated, journal.Paused)
        assert (operated.actor, operated.action, operated.round) == ("ops", "pause", at - 1)
        assert (event.cause, event.round, event.reason) == ("operator", at, "by ops: new cooling")
        await swarm.until_all_finished(but=(2,))
        assert len(paused.rounds) == at
        for index in (0, 1, 3):
            rounds = swarm.members[index].rounds
            assert sorted(rounds) == list(range(60))
            assert all(r.outcome == "averaged" and not r.deadline_missed for r in rounds.values())
            assert all("n2" in rounds[number].absent for number in range(at + 1, 60))


async def test_a_resumed_node_joins_the_round_of_the_others_and_is_waited_for_again(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=80, conditions=CALM, deadline_s=5.0) as swarm:
        member = swarm.members[2]
        await swarm.until(lambda: member.checkpoint >= 5)
        await member.runtime.controls.pause("ops", "")
        at = member.checkpoint
        await swarm.until(lambda: swarm.members[0].checkpoint >= 30)
        await member.runtime.controls.resume("ops", "done")
        assert told(member, journal.Unpaused)[0].reason == "resumed by ops: done"
        await swarm.until_all_finished()
        assert min(r for r in member.rounds if r >= at) >= 30
        assert "n2" in swarm.members[0].rounds[79].present


async def test_a_pause_outlives_kill_9_and_a_resume_does_too(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=60, conditions=CALM) as swarm:
        member = swarm.members[1]
        await swarm.until(lambda: member.checkpoint >= 5)
        await member.runtime.controls.pause("ops", "for the night")
        played = len(member.rounds)
        for _ in range(2):
            swarm.kill(1)
            swarm.start(1)
            await trio.sleep(30.0)
        assert len(member.rounds) == played
        assert [e.reason for e in told(member, journal.Paused)] == ["by ops: for the night"] * 3
        await member.runtime.controls.resume("ops", "")
        swarm.kill(1)
        swarm.start(1)
        await swarm.until_all_finished()
        assert member.rounds[59].outcome == "averaged"


async def test_a_swarm_most_of_which_is_paused_waits_instead_of_going_on_alone(autojump_clock):
    async with open_swarm(5, complete(5), "cliques", rounds=40, conditions=CALM, deadline_s=5.0) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        for index in (2, 3, 4):
            await swarm.members[index].runtime.controls.pause("ops", "")
        await trio.sleep(100.0)
        for index in (0, 1):
            assert pauses(swarm.members[index]) == [("paused", "quorum")]
            assert sum(r.outcome == "void" for r in swarm.members[index].rounds.values()) <= 1
        for index in (4, 3, 2):
            await swarm.members[index].runtime.controls.resume("ops", "")
        await swarm.until_all_finished()
        assert pauses(swarm.members[0]) == [("paused", "quorum"), ("unpaused", None)]


async def test_what_changes_nothing_is_refused(autojump_clock):
    async with open_swarm(2, complete(2), rounds=1000, conditions=CALM) as swarm:
        await trio.sleep(1.0)
        controls = swarm.members[0].runtime.controls
        for refused in (
            controls.resume("ops", ""),
            controls.release("ops", "n1", ""),  # nobody watches here
            controls.roll_back("ops", 3, ""),
            controls.quarantine("ops", "n0", 5.0, ""),  # itself
        ):
            with pytest.raises(ControlRefused):
                await refused
        await controls.pause("ops", "")
        with pytest.raises(ControlRefused, match="by ops"):
            await controls.pause("else", "")


async def test_one_quarantined_by_order_is_not_averaged_until_released_or_its_time_is_over(autojump_clock):
    options = {"conditions": CALM, "watching": watching}
    async with open_swarm(4, complete(4), "cliques", rounds=400, **options) as swarm:
        member = swarm.members[0]
        await swarm.until(lambda: member.checkpoint >= 3)
        controls = member.runtime.controls
        await controls.quarantine("ops", "n2", 1e6, "odd noises")
        at = member.checkpoint
        await swarm.until(lambda: member.checkpoint >= at + 5)
        await controls.release("ops", "n2", "a loose cable")
        back = member.checkpoint
        await controls.quarantine("ops", "n3", 3.0, "")
        since = trio.current_time()
        await swarm.until(lambda: told(member, journal.VerdictChanged)[-1].before == "quarantined", within_s=10.0)
        assert 2.0 < trio.current_time() - since < 5.0
        rounds = member.rounds
        assert all("n2" not in rounds[number].present for number in range(at, back))
        assert "n2" in rounds[back].present
        changes = [(e.peer, e.before, e.after) for e in told(member, journal.VerdictChanged)]
        assert changes == [
            ("n2", "trusted", "quarantined"),
            ("n2", "quarantined", "probation"),
            ("n3", "trusted", "quarantined"),
            ("n2", "probation", "trusted"),
            ("n3", "quarantined", "probation"),
        ]


async def test_a_revoked_peer_is_neither_averaged_nor_waited_for(autojump_clock):
    options = {"conditions": CALM, "watching": watching, "deadline_s": 5.0}
    async with open_swarm(4, complete(4), "cliques", rounds=40, **options) as swarm:
        member = swarm.members[0]
        await swarm.until(lambda: member.checkpoint >= 3)
        await member.runtime.controls.revoke("ops", "n2", "stolen")
        at = member.checkpoint
        with pytest.raises(ControlRefused):
            await member.runtime.controls.release("ops", "n2", "")
        swarm.network.crash(swarm.id(2))  # hangs or not: nobody waits
        await swarm.until_all_finished(but=(2,))
        assert all("n2" not in member.rounds[number].present for number in range(at, 40))
        assert all("n2" not in member.rounds[number].deadline_missed for number in range(at, 40))
        assert told(member, journal.VerdictChanged)[0].after == Verdict.EVICTED


async def test_after_the_last_round_orders_are_obeyed_but_for_a_pause(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=3, watching=watching) as swarm:
        await swarm.until_all_finished()
        controls = swarm.members[0].runtime.controls
        with pytest.raises(ControlRefused, match="all rounds are done"):
            await controls.pause("ops", "")
        await controls.quarantine("ops", "n2", 60.0, "")
        assert told(swarm.members[0], journal.VerdictChanged)[0].after == "quarantined"
        assert swarm.members[0].checkpoint == 3


class Keeper(Drift):
    def restore(self, version):
        if version != 3:
            raise ControlRefused(f"no version {version}", "choose 3")
        self.vector_ = np.full(8, 3.0, np.float32)
        return Restored(9, 0.4, 0.5)


async def test_a_rollback_is_journalled_before_and_after_and_durable_before_the_caller_hears(autojump_clock):
    learners = [Keeper(np.zeros(8, np.float32), np.random.default_rng(index)) for index in range(2)]
    async with open_swarm(2, complete(2), rounds=1000, learners=learners, conditions=CALM) as swarm:
        member = swarm.members[0]
        await swarm.until(lambda: member.checkpoint >= 3)
        with pytest.raises(ControlRefused, match="no version 4"):
            await member.runtime.controls.roll_back("ops", 4, "")
        await member.runtime.controls.pause("ops", "")
        await member.runtime.controls.roll_back("ops", 3, "7 is poisoned")
        np.testing.assert_array_equal(member.learner.vector(), np.full(8, 3.0))
        operated, back, again = told(member, journal.Operated, journal.RolledBack, journal.Promoted)[-3:]
        assert (operated.action, operated.target) == ("roll-back", "3")
        assert (back.to_version, back.reason, again.version) == (3, "ordered by ops: 7 is poisoned", 9)


# --- for want of a quorum ---------------------------------------------------------------------------------------------


async def test_a_minority_pauses_says_so_once_and_goes_on_by_itself(autojump_clock):
    async with open_swarm(5, complete(5), "cliques", rounds=60, conditions=CALM, deadline_s=2.0) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        swarm.network.partition([[swarm.id(0), swarm.id(1)]])
        await trio.sleep(60.0)
        for index in (0, 1):
            (event,) = told(swarm.members[index], journal.Paused)
            assert (event.cause, event.reason[:25]) == ("quorum", "2 of 5 members of its com")
            assert sum(r.outcome == "void" for r in swarm.members[index].rounds.values()) <= 1
        assert max(swarm.members[3].rounds) == 59  # the majority went on
        swarm.network.heal()
        await swarm.until_all_finished()
        assert pauses(swarm.members[0]) == [("paused", "quorum"), ("unpaused", None)]
        assert swarm.members[0].rounds[59].outcome == "averaged"


async def test_a_swarm_cut_into_pieces_too_small_goes_on_together_after_it_healed(autojump_clock):
    async with open_swarm(6, ring(6), rounds=50, conditions=CALM, deadline_s=2.0, quorum=0.9) as swarm:
        await swarm.until(lambda: swarm.members[0].checkpoint >= 5)
        swarm.network.partition([[swarm.id(index)] for index in range(6)])
        await trio.sleep(60.0)
        assert all(pauses(member) == [("paused", "quorum")] for member in swarm.members)
        swarm.network.heal()
        await swarm.until_all_finished()
        assert all(sum(r.outcome == "void" for r in m.rounds.values()) <= 3 for m in swarm.members)


async def test_a_node_all_alone_in_its_topology_lacks_nobody(autojump_clock):
    async with open_swarm(1, (), rounds=5) as swarm:
        await swarm.until_all_finished()
        assert pauses(swarm.members[0]) == []


async def test_an_operators_pause_goes_before_a_lack_of_quorum_and_leaves_it_to_it(autojump_clock):
    async with open_swarm(3, complete(3), "cliques", rounds=60, conditions=CALM, deadline_s=2.0) as swarm:
        member = swarm.members[0]
        await swarm.until(lambda: member.checkpoint >= 5)
        swarm.network.partition([[swarm.id(0)]])
        await swarm.until(lambda: pauses(member) == [("paused", "quorum")])
        await member.runtime.controls.pause("ops", "")
        swarm.network.heal()
        await trio.sleep(20.0)
        swarm.network.partition([[swarm.id(0)]])
        await trio.sleep(5.0)
        await member.runtime.controls.resume("ops", "")
        swarm.network.heal()
        await swarm.until_all_finished()
        causes = [("paused", "quorum"), ("paused", "operator"), ("paused", "quorum"), ("unpaused", None)]
        assert pauses(member) == causes


# --- an end in order --------------------------------------------------------------------------------------------------


async def test_a_drained_node_finishes_its_round_and_goes(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=60, conditions=CALM) as swarm:
        member = swarm.members[1]
        await swarm.until(lambda: member.checkpoint >= 5)
        at = len(member.rounds)
        member.runtime.drain()
        await swarm.until(lambda: member.ended)
        assert sorted(member.rounds) == list(range(at + 1))
        assert member.rounds[at].outcome == "averaged"
        assert member.checkpoint == at + 1
        await swarm.until_all_finished(but=(1,))
        assert all(not r.deadline_missed for m in swarm.members for r in m.rounds.values())


@pytest.mark.parametrize("state", ["gathering", "paused", "finished"])
async def test_a_node_between_rounds_ends_at_once(autojump_clock, state):
    async with open_swarm(3, complete(3), "cliques", rounds=10, conditions=CALM, deadline_s=50.0) as swarm:
        member = swarm.members[0]
        if state == "gathering":
            swarm.network.partition([[swarm.id(1)]])
            await trio.sleep(2.0)
            assert not told(member, journal.Ready)
        elif state == "paused":
            await swarm.until(lambda: member.checkpoint >= 3)
            await member.runtime.controls.pause("ops", "")
        else:
            await swarm.until_all_finished()
        before, rounds = trio.current_time(), len(member.rounds)
        member.runtime.drain()
        await swarm.until(lambda: member.ended)
        assert trio.current_time() - before < 0.1
        assert len(member.rounds) == rounds
