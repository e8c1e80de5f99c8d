"""Nodes whose rounds are masked or encrypted, in virtual time: the average of plain rounds, kills, restarts."""

import numpy as np
import pytest

from consensus.encrypted_sharing import EncryptedSharing
from consensus.masked_sharing import MaskedSharing
from consensus.messages import Contribution
from node import journal
from overlay.memory import MemoryTransport
from tests.node.swarm import complete, open_swarm

MASKS = MaskedSharing(members=6, tolerated=1, absentees=1, clip=2.0, deadline_s=5.0)
CKKS = EncryptedSharing(members=6, absentees=1, kind="ckks", clip=2.0, deadline_s=5.0)
BFV = EncryptedSharing(members=6, absentees=1, kind="bfv", clip=2.0, deadline_s=5.0)
ALL = pytest.mark.parametrize("sharing", [MASKS, CKKS, BFV], ids=["masks", "ckks", "bfv"])


def swarm_of(sharing, rounds):
    return open_swarm(6, complete(6), "cliques", rounds=rounds, deadline_s=5.0, guard=sharing)


def faults(swarm):
    return [event for member in swarm.members for event in member.events if isinstance(event, journal.Faulted)]


@ALL
async def test_nodes_adopt_the_average_of_plain_rounds_and_send_no_model(autojump_clock, monkeypatch, sharing):
    sent = set()
    send = MemoryTransport.send
    monkeypatch.setattr(MemoryTransport, "send", lambda self, p, m: (sent.add(type(m)), send(self, p, m))[1])
    async with swarm_of(sharing, 3) as swarm:
        await swarm.until_all_finished()
        for round_ in range(3):
            expected = np.mean([m.learner.contributed[round_] for m in swarm.members], axis=0)
            vectors = [member.learner.adopted[round_] for member in swarm.members]
            assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
            np.testing.assert_allclose(vectors[0], expected, atol=1e-5)
            assert all(len(m.rounds[round_].present) == 5 for m in swarm.members)
        assert not faults(swarm)
    assert Contribution not in sent


@ALL
async def test_a_killed_node_is_done_without_and_a_restarted_one_takes_part_again(autojump_clock, sharing):
    """Rounds whose keeper or relay is gone are void in the encrypted mode, and say why."""
    async with swarm_of(sharing, 14) as swarm:
        await swarm.until(lambda: len(swarm.members[3].rounds) >= 2)
        swarm.kill(3)
        await swarm.until(lambda: len(swarm.members[0].rounds) >= 6)
        swarm.start(3)
        await swarm.until_all_finished()
        first = swarm.members[0]
        assert sorted(first.rounds) == list(range(14))
        assert not faults(swarm)
        without = [first.rounds[number] for number in range(14) if "n3" not in first.rounds[number].present]
        assert any(row.outcome == "averaged" for row in without)
        assert all(row.void for row in first.rounds.values() if row.outcome == "void")
        assert "n3" in first.rounds[13].present
        assert first.rounds[13].void is None
        vectors = [member.learner.adopted[13] for member in swarm.members]
        assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
