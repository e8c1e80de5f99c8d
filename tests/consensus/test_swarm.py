"""Rounds together: 16 nodes, 100 rounds, in virtual time, in fair weather and foul."""

import itertools

import networkx as nx
import numpy as np
import pytest

from consensus.committee import plan
from consensus.messages import Contribution
from consensus.mixing import compose, rounds_to_consensus
from tests.consensus.simulated_swarm import DEADLINE_S, SIZE, Swarm, Weather

TORUS = [
    tuple(sorted(edge)) for edge in nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, 4, periodic=True)).edges
]
COMPLETE = list(itertools.combinations(range(16), 2))
D_CLIQUES = [(4 * c + i, 4 * c + j) for c in range(4) for i, j in itertools.combinations(range(4), 2)] + [
    (4 * c + d - 1, 4 * d + c) for c, d in itertools.combinations(range(4), 2)
]
PLANS = {
    "torus": plan("neighbourhood", 16, TORUS, seed=1),
    "clique": plan("cliques", 16, COMPLETE, seed=1),
    "d-cliques": plan("cliques", 16, D_CLIQUES, seed=1),
    "grid": plan("grid", 16, [], seed=1, size=4),
}
FOUL = Weather(
    loss=0.05,
    repeat=0.1,
    reorder=True,
    partitions=((5.0, 14.0, frozenset({0, 1, 2, 3, 7})), (40.0, 46.0, frozenset({9}))),
    crashes=((8.0, 16.0, 5), (22.0, 22.5, 11), (23.0, 48.0, 4)),
    hangs=((18.0, 30.0, 14),),
)


@pytest.mark.parametrize(("kind", "rounds"), [("torus", 100), ("clique", 15), ("d-cliques", 30), ("grid", 30)])
def test_everybody_plays_every_round_in_fair_weather(kind, rounds):
    swarm = Swarm(PLANS[kind], rounds, 3, Weather(), quorum=1.0).run()
    assert sorted((c.node, c.round) for c in swarm.closed) == list(itertools.product(range(16), range(rounds)))
    assert all(c.outcome.averaged and not c.outcome.absent and c.took_s < DEADLINE_S for c in swarm.closed)
    assert not swarm.faults


@pytest.mark.parametrize("kind", ["clique", "grid"])
def test_one_round_is_the_exact_average(kind):
    swarm = Swarm(PLANS[kind], 1, 3, Weather(), learning=0.0)
    expected = np.mean([member.vector.astype(np.float64) for member in swarm.members], axis=0)
    swarm.run()
    for member in swarm.members:
        assert np.allclose(member.vector, expected, rtol=0, atol=1e-7)
    if kind == "clique":
        assert len({member.vector.tobytes() for member in swarm.members}) == 1


@pytest.mark.parametrize("kind", ["torus", "d-cliques"])
def test_a_connected_graph_without_learning_comes_to_the_average(kind):
    enough = rounds_to_consensus(compose(PLANS[kind].phases(0)), 1e-4)
    swarm = Swarm(PLANS[kind], enough, 3, Weather(), learning=0.0)
    expected = np.mean([member.vector for member in swarm.members], axis=0)
    spread = max(np.linalg.norm(member.vector - expected) for member in swarm.members)
    swarm.run()
    for member in swarm.members:
        assert np.linalg.norm(member.vector - expected) <= 16 * 1e-4 * spread + 1e-6


@pytest.mark.parametrize("kind", PLANS)
def test_foul_weather_stops_nobody(kind):
    swarm = Swarm(PLANS[kind], 50, 5, FOUL).run()
    assert not swarm.faults
    for node in range(16):
        numbers = [c.round for c in swarm.rounds_of(node)]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 49
    played = len(swarm.closed) / (16 * 50)
    averaged = sum(c.outcome.averaged for c in swarm.closed) / len(swarm.closed)
    assert played > 0.8
    assert averaged > 0.8


def test_the_same_seed_is_the_same_history():
    runs = [Swarm(PLANS["torus"], 25, seed, FOUL).run().history() for seed in (5, 5, 6)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("kind", PLANS)
def test_a_hung_peer_costs_each_other_node_one_deadline(kind):
    swarm = Swarm(PLANS[kind], 25, 7, Weather(hangs=((5.3, 1e5, 6),))).run(until_s=1e4)
    hung = swarm.members[6].peer
    for node in set(range(16)) - {6}:
        mine = swarm.rounds_of(node)
        assert mine[-1].round == 24  # who waited longest may have jumped to the others
        assert sum(hung in c.outcome.deadline_missed for c in mine) <= 1
        # Who waited is late once and may be missed for it once: a wave, not a storm. In a grid each epoch brings
        # new cell-mates together, and with them a new wave.
        if kind != "grid":
            assert sum(bool(c.outcome.deadline_missed) for c in mine) <= 1


@pytest.mark.parametrize("kind", PLANS)
def test_a_killed_peer_costs_nobody_a_deadline(kind):
    swarm = Swarm(PLANS[kind], 20, 7, Weather(crashes=((5.3, 1e5, 6),))).run(until_s=1e4)
    for node in set(range(16)) - {6}:
        assert len(swarm.rounds_of(node)) == 20
        assert not any(c.outcome.deadline_missed for c in swarm.rounds_of(node))


@pytest.mark.parametrize("kind", PLANS)
def test_a_node_that_was_away_joins_the_swarm_where_it_is(kind):
    swarm = Swarm(PLANS[kind], 50, 7, Weather(crashes=((5.3, 28.0, 6),))).run()
    back = [c for c in swarm.rounds_of(6) if c.at > 28.0]
    elsewhere = max(c.round for c in swarm.closed if c.at <= back[0].at and c.node != 6)
    # What it trained on return may be for a round that is long over; from then on it is with the others.
    assert back[1].round >= elsewhere - 2 >= 20
    assert all(c.outcome.averaged and not c.outcome.absent for c in back[3:])


def test_both_sides_of_a_partition_go_on_and_meet_again():
    halves = Weather(partitions=((5.0, 20.0, frozenset(range(8))),))
    swarm = Swarm(PLANS["torus"], 40, 7, halves).run()
    during = [c for c in swarm.closed if 8.0 < c.at < 20.0]
    assert all(c.outcome.averaged for c in during)
    assert {c.node for c in during} == set(range(16))
    assert all(not c.outcome.absent for c in swarm.closed if c.round > 36)


def garbage(index, contribution, target):
    """Nodes 3 and 12 lie in each of the ways that a well-formed message allows."""
    if index not in {3, 12}:
        return contribution
    rubbish = np.full(SIZE, 1e30, dtype=np.float32)
    match (contribution.round + target) % 4:
        case 0:
            return Contribution(contribution.round, contribution.phase, np.full(SIZE, np.nan, dtype=np.float32))
        case 1:
            return Contribution(contribution.round, contribution.phase, rubbish[:-1])
        case 2:
            return Contribution(10**9, 0, rubbish)
        case _:
            return Contribution(contribution.round, 31, rubbish)


@pytest.mark.parametrize("kind", PLANS)
def test_liars_hurt_themselves_alone(kind):
    swarm = Swarm(PLANS[kind], 15, 7, Weather(), tamper=garbage, quorum=0.3).run()
    liars = {swarm.members[node].peer for node in (3, 12)}
    assert swarm.faults
    assert {fault.culprit for fault in swarm.faults} <= liars
    for closed in swarm.closed:
        assert not liars & set(closed.outcome.present)
        if closed.node not in (3, 12):
            assert np.abs(closed.outcome.vector).max() < 10
            # A silent liar makes one cell of a grid late, and that one is late in the next phase for honest others.
            assert set(closed.outcome.absent) <= liars or kind == "grid"
    assert all(len(swarm.rounds_of(node)) == 15 for node in range(16))
