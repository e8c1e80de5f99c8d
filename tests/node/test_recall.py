"""Recovery in running nodes, in virtual time: who is convicted is out of the base of all, and it is in the journal."""

from dataclasses import replace

import numpy as np

from node import journal
from node.guard import Guard
from tests.node.swarm import complete, open_swarm
from tests.node.test_watch import FOUR

KEEPING = replace(FOUR, keep_rounds=2)


def convicting(monkeypatch, culprit, number):
    """All that begin round `number` with shares have proof of a lie of `culprit`, a name."""
    made = Guard.round

    def begin(guard, at, *arguments, **options):
        if at == number:
            guard.vault = guard.vault.convict(culprit(), b"")
        return made(guard, at, *arguments, **options)

    monkeypatch.setattr(Guard, "round", begin)


def recalls(member):
    return [event for event in member.events if isinstance(event, journal.Recalled)]


async def test_a_conviction_is_followed_by_a_recall_at_all_and_written_down(autojump_clock, monkeypatch):
    convicting(monkeypatch, lambda: swarm.id(3), 4)
    async with open_swarm(4, complete(4), "cliques", rounds=8, guard=KEEPING, deadline_s=5.0) as swarm:
        await swarm.until_all_finished()
        told = [recalls(member)[0] for member in swarm.members]
        assert {(event.peer, event.refused) for event in told} == {("n3", None)}
        assert {(event.round, event.rounds) for event in told} == {(4, (2, 3))}  # its own node is told as well
        assert "n3" not in swarm.members[0].rounds[7].present
        assert len({member.guard.base.digest for member in swarm.members}) == 1


async def test_a_restarted_node_has_no_shares_and_the_others_do_without(autojump_clock, monkeypatch):
    """Of five three are left with shares, the convict's and the restarted node's being none: as many as a sum asks."""
    convicting(monkeypatch, lambda: swarm.id(3), 9)
    guard = replace(KEEPING, members=5)
    async with open_swarm(5, complete(5), "cliques", rounds=14, guard=guard, deadline_s=5.0) as swarm:
        await swarm.until(lambda: all(6 in member.rounds for member in swarm.members))
        swarm.kill(2)
        killed = swarm.members[2].guard
        assert killed.vault.rounds
        swarm.start(2)
        await swarm.until(lambda: swarm.members[2].guard is not killed)
        assert swarm.members[2].guard.vault.rounds == ()
        await swarm.until_all_finished()
        assert {event.refused for member in swarm.members[:2] for event in recalls(member)} == {None}
        bases = np.stack([member.guard.base.vector for member in swarm.members])
        assert np.ptp(bases, axis=0).max() == 0


async def test_nothing_is_kept_where_the_file_asks_for_nothing(autojump_clock):
    async with open_swarm(4, complete(4), "cliques", rounds=3, guard=FOUR, deadline_s=5.0) as swarm:
        await swarm.until_all_finished()
        assert all(member.guard.vault.rounds == () for member in swarm.members)
        assert not any(recalls(member) for member in swarm.members)
