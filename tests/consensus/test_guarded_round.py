"""Rounds whose first phase is secret: what they make of means, bases, liars about bases, losses and restarts."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.base import Base
from consensus.committee import plan
from consensus.coordinates import Coordinates
from consensus.meeting_messages import BaseCopy, BaseWanted, Standing
from consensus.messages import Contribution
from consensus.private_messages import Item, Sealed, Stage
from consensus.sharing import Update
from crypto.sealing import ChannelKey
from tests.consensus.guarded_swarm import DEADLINE_S, GuardedSwarm, Open, one_cell, shamir


def of_plan(made):
    return lambda index, number: [dict(weights) for weights in made.phases_of(index, number)]


def close_to(swarm, expected, atol=1e-5):
    for member in swarm.members:
        if member.alive:
            np.testing.assert_allclose(member.vector, expected, atol=atol)


# --- the ordinary case ------------------------------------------------------------------------------------------------


def test_a_cell_comes_to_the_exact_average_of_what_was_trained_round_after_round():
    swarm = GuardedSwarm(6, one_cell(6), shamir())
    expected = np.zeros(swarm.size)
    for number in range(3):
        swarm.play(number)
        expected = expected + np.mean(list(swarm.learned.values()), axis=0)
        close_to(swarm, expected, atol=1e-3)
        assert len(swarm.digests) == 1
        assert all(o.averaged and len(o.present) == 5 and not o.absent for o in swarm.outcomes(number))
        assert all(member.base.opened == number + 1 for member in swarm.members)
        assert not any(member.rounds[number].faults for member in swarm.members)


def test_nobody_waits_for_the_meeting_and_no_model_is_sent():
    swarm = GuardedSwarm(6, one_cell(6), shamir()).play(0)
    assert swarm.took_s < 1
    assert not any(isinstance(message, Contribution | BaseCopy | BaseWanted) for _, _, message in swarm.sent)
    first = [type(message) for sender, _, message in swarm.sent if sender == 0][:10]
    assert first[:5] == [Standing] * 5
    assert Sealed in first  # at once: before anybody's standing is heard


def test_what_travels_is_heard_before_the_start_too():
    """Members that begin later than the others have to say finds it all there."""
    swarm = GuardedSwarm(6, one_cell(6), shamir()).play(0, late={2: 1.0})
    assert all(len(outcome.present) == 5 for outcome in swarm.outcomes(0))


@pytest.mark.parametrize("seed", range(4))
def test_losses_cost_time_and_nothing_else(seed):
    swarm = GuardedSwarm(6, one_cell(6), shamir(), loss=0.15, seed=seed)
    for number in range(3):
        swarm.play(number)
    assert len(swarm.digests) == 1
    assert all(outcome.averaged for outcome in swarm.outcomes(2))


def test_the_lines_of_a_grid_end_with_one_base_to_the_bit():
    made = plan("grid", 16, (), seed=5, size=4)
    swarm = GuardedSwarm(16, of_plan(made), Open(4))
    expected = np.zeros(swarm.size)
    for number in range(3):
        swarm.play(number)
        expected = expected + np.mean(list(swarm.learned.values()), axis=0)
        close_to(swarm, expected)
        assert len(swarm.digests) == 1


def two_cliques_and_a_bridge():
    within = [(a + i, a + j) for a in (0, 4) for i in range(4) for j in range(i + 1, 4)]
    return plan("cliques", 8, tuple(sorted([*within, (3, 4)])), seed=1)


def test_bridges_carry_bases_and_never_what_one_node_learned():
    made = two_cliques_and_a_bridge()
    swarm = GuardedSwarm(8, of_plan(made), Open(4))
    swarm.play(0)
    learned = np.stack([swarm.learned[index] for index in range(8)])
    matrices = made.phases(0)
    expected = np.repeat([learned[:4].mean(0), learned[4:].mean(0)], 4, axis=0)
    for matrix in matrices[1:]:
        expected = matrix @ expected
    for member in swarm.members:
        np.testing.assert_allclose(member.vector, expected[member.index], atol=1e-5)
    carried = [message.vector for _, _, message in swarm.sent if isinstance(message, Contribution)]
    assert carried
    for vector in carried:
        assert not any(np.allclose(vector, one, atol=1e-3) for one in learned)


# --- bases that differ ------------------------------------------------------------------------------------------------


def lagging(swarm, place, opened=0):
    """`place` comes back with the initial base; its model is on it."""
    member = swarm.members[place]
    member.base, member.vector = swarm.first(), np.zeros(swarm.size, np.float32)


@pytest.mark.parametrize("sharing", [Open(6), shamir()], ids=["open", "shamir"])
def test_who_was_away_takes_the_cells_base_and_its_update_counts(sharing):
    swarm = GuardedSwarm(6, one_cell(6), sharing)
    swarm.play(0).play(1)
    common = swarm.members[0].base.vector
    lagging(swarm, 4)
    swarm.play(2)
    close_to(swarm, common + np.mean(list(swarm.learned.values()), axis=0), atol=1e-3)
    assert len(swarm.digests) == 1
    copies = [receiver for _, receiver, message in swarm.sent if isinstance(message, BaseCopy)]
    assert copies == [4]


def test_a_copy_that_is_lost_is_asked_for_elsewhere():
    swarm = GuardedSwarm(6, one_cell(6))
    swarm.play(0)
    lagging(swarm, 4)
    silent = []

    def lose_the_first(sender, _receiver, message):
        if isinstance(message, BaseCopy) and (not silent or sender in silent):
            silent.append(sender)
            return None
        return message

    swarm.lie = lose_the_first
    swarm.play(1)
    assert silent
    assert len(swarm.digests) == 1


def test_a_base_that_never_comes_costs_one_deadline_and_no_round():
    swarm = GuardedSwarm(6, one_cell(6))
    swarm.play(0)
    lagging(swarm, 4)
    swarm.lie = lambda _s, _r, message: None if isinstance(message, BaseCopy) else message
    swarm.play(1)
    assert DEADLINE_S < swarm.took_s < 1.5 * DEADLINE_S
    mean = np.mean(list(swarm.learned.values()), axis=0)
    np.testing.assert_allclose(swarm.members[4].vector, mean, atol=1e-5)  # on its own base
    swarm.lie = lambda _s, _r, message: message
    swarm.play(2)
    assert len(swarm.digests) == 1


def test_one_liar_about_the_base_moves_nobody_and_fewer_than_vouch_never_do():
    swarm = GuardedSwarm(6, one_cell(6), Open(6, vouching=2))
    swarm.play(0)

    def lie(sender, _receiver, message):
        if isinstance(message, Standing) and sender == 5:
            return Standing(message.round, b"?" * 32, message.round)
        return message

    swarm.lie = lie
    common = swarm.members[0].base.vector
    swarm.play(1)
    close_to(swarm, common + np.mean(list(swarm.learned.values()), axis=0))
    assert swarm.took_s < 1
    assert not any(isinstance(message, BaseWanted) for _, _, message in swarm.sent)


def test_a_base_from_beyond_the_round_is_nobodys():
    swarm = GuardedSwarm(6, one_cell(6), Open(6, vouching=2))

    def lie(sender, _receiver, message):
        return Standing(message.round, b"?" * 32, 10**6) if isinstance(message, Standing) and sender >= 3 else message

    swarm.lie = lie
    swarm.play(0)
    close_to(swarm, np.mean(list(swarm.learned.values()), axis=0))


def test_a_forged_copy_is_not_taken():
    swarm = GuardedSwarm(6, one_cell(6))
    swarm.play(0)
    lagging(swarm, 4)
    forged = np.full(swarm.size, 100, np.float32).tobytes()
    swarm.lie = lambda sender, _r, m: BaseCopy(m.round, forged) if isinstance(m, BaseCopy) and sender != 0 else m
    swarm.play(1)
    assert np.abs(swarm.members[4].vector).max() < 10


def test_a_silent_standing_costs_nothing_where_the_others_settle_it():
    swarm = GuardedSwarm(6, one_cell(6), Open(6, vouching=2))
    swarm.play(0)
    swarm.lie = lambda sender, _r, message: None if isinstance(message, Standing) and sender == 5 else message
    swarm.play(1)
    assert swarm.took_s < 1


def test_where_nobody_vouches_all_bases_are_averaged():
    """Cells drawn anew: nobody has what another has. The rule over y, plus the mean of u: the average of models."""
    swarm = GuardedSwarm(6, one_cell(6))
    for member in swarm.members:
        vector = swarm.rng.standard_normal(swarm.size).astype(np.float32)
        member.base, member.vector = Base(vector, 0), vector
    before = np.mean([member.vector for member in swarm.members], axis=0)
    swarm.play(0)
    close_to(swarm, before + np.mean(list(swarm.learned.values()), axis=0))
    assert len(swarm.digests) == 1


def test_bases_of_those_who_are_not_in_the_mean_do_not_count():
    """All who heard the same mean take the same bases into account: those of the accepted."""
    swarm = GuardedSwarm(6, one_cell(6))
    for member in swarm.members:
        vector = swarm.rng.standard_normal(swarm.size).astype(np.float32)
        member.base, member.vector = Base(vector, 0), vector
    before = np.mean([swarm.members[i].vector for i in range(5)], axis=0)
    swarm.play(0, options={5: {"update": None}})
    learned = np.mean([swarm.learned[i] for i in range(5)], axis=0)
    np.testing.assert_allclose(swarm.members[0].vector, before + learned, atol=1e-5)
    assert len(swarm.digests) == 1


# --- rounds that come to nothing --------------------------------------------------------------------------------------


def test_a_void_round_keeps_base_and_model_and_nothing_learned_is_lost():
    swarm = GuardedSwarm(6, one_cell(6), Open(6, voids=frozenset({1})))
    swarm.play(0)
    base, total = swarm.members[0].base, swarm.members[0].vector.copy()
    swarm.play(1)
    first = dict(swarm.learned)
    assert not any(outcome.averaged for outcome in swarm.outcomes(1))
    for member in swarm.members:
        assert member.base.digest == base.digest
        np.testing.assert_allclose(member.vector, total + first[member.index], atol=1e-6)
    swarm.play(2)
    both = [first[i] + swarm.learned[i] for i in range(6)]
    close_to(swarm, total + np.mean(both, axis=0))


def test_a_void_cell_takes_part_in_the_open_phases_with_its_base_alone():
    made = plan("grid", 16, (), seed=5, size=4)
    swarm = GuardedSwarm(16, of_plan(made), Open(4, voids=frozenset({1})))
    swarm.play(0)
    swarm.sent.clear()
    base = swarm.members[0].base.vector
    swarm.play(1)
    carried = [message.vector for _, _, message in swarm.sent if isinstance(message, Contribution)]
    assert carried
    assert all(np.array_equal(vector, base) for vector in carried)
    for member in swarm.members:
        np.testing.assert_allclose(member.vector, base + swarm.learned[member.index], atol=1e-6)


def test_too_few_for_a_mean_is_a_void_round():
    swarm = GuardedSwarm(6, one_cell(6), shamir())
    for place in (1, 2, 3):
        swarm.members[place].alive = False
    swarm.play(0)
    assert [outcome.averaged for outcome in swarm.outcomes(0)] == [False] * 3
    assert all(member.base.opened == 0 for member in swarm.members)


def test_who_comes_when_the_round_is_over_is_told_what_it_came_to():
    """Its own secret phase finds nobody; the others vouch for the base that the round made."""
    swarm = GuardedSwarm(6, one_cell(6), Open(6, least=4))
    swarm.lie = lambda _s, receiver, message: None if receiver == 4 and isinstance(message, Sealed) else message
    swarm.play(0, late={4: 3 * DEADLINE_S})
    assert len(swarm.digests) == 1
    late = swarm.members[4]
    assert late.rounds[0].outcome.averaged
    np.testing.assert_allclose(late.vector, late.base.vector + swarm.learned[4], atol=1e-5)  # was in no mean


# --- members that bring nothing, momentum, some coordinates -----------------------------------------------------------


@pytest.mark.parametrize("sharing", [Open(6), shamir()], ids=["open", "shamir"])
def test_who_brings_nothing_learns_the_mean_and_costs_no_deadline(sharing):
    swarm = GuardedSwarm(6, one_cell(6), sharing)
    swarm.play(0, options={2: {"update": None}})
    learned = [step for index, step in swarm.learned.items() if index != 2]
    close_to(swarm, np.mean(learned, axis=0), atol=1e-3)
    assert all(swarm.order[2] not in outcome.present for outcome in swarm.outcomes(0)[:2])
    assert swarm.took_s < 1
    assert not any(member.rounds[0].faults for member in swarm.members)
    assert not swarm.members[2].rounds[0].secret.exposed


def test_momentum_moves_the_public_vector_on():
    swarm = GuardedSwarm(6, one_cell(6), momentum=0.5)
    y = v = np.zeros(swarm.size)
    for number in range(4):
        swarm.play(number)
        v = 0.5 * v + np.mean(list(swarm.learned.values()), axis=0)
        y = y + v
        close_to(swarm, y)
        for member in swarm.members:
            np.testing.assert_allclose(member.base.velocity, v, atol=1e-5)
        assert len(swarm.digests) == 1


def test_who_was_away_fetches_the_velocity_too():
    swarm = GuardedSwarm(6, one_cell(6), momentum=0.5)
    swarm.play(0)
    lagging(swarm, 4)
    swarm.play(1)
    assert len(swarm.digests) == 1


def test_some_coordinates_a_round_and_the_rest_stays_until_it_is_their_turn():
    swarm = GuardedSwarm(6, one_cell(6))
    drawn = Coordinates(0.5, swarm.size, bytes(32))
    swarm.play(0, places=drawn.of(0, 0, bytes(32)))
    places = drawn.of(0, 0, bytes(32))
    rest = np.setdiff1d(np.arange(swarm.size), places)
    assert len(places) == 3
    learned = np.stack([swarm.learned[index] for index in range(6)])
    for member in swarm.members:
        np.testing.assert_allclose(member.base.vector[places], learned.mean(0)[places], atol=1e-6)
        assert not member.base.vector[rest].any()
        assert np.array_equal(member.vector[places], member.base.vector[places])
        assert np.array_equal(member.vector[rest], learned[member.index][rest])
    sizes = {len(message.body) for _, _, message in swarm.sent if isinstance(message, Sealed)}
    assert sizes == {4 * 3}
    # All of what was learned comes in the end: error feedback loses nothing.
    swarm.play(1, places=rest)
    total = learned + np.stack([swarm.learned[index] for index in range(6)])
    np.testing.assert_allclose(swarm.members[0].base.vector[rest], total.mean(0)[rest], atol=1e-6)


def test_what_noise_hides_is_not_kept_to_be_shared_again():
    swarm = GuardedSwarm(6, one_cell(6), shamir())
    places = Coordinates(0.5, swarm.size, bytes(32)).of(0, 0, bytes(32))
    updates = {
        index: Update(np.full(swarm.size, 0.5, np.float32), np.full(swarm.size, 7, np.int32)) for index in range(6)
    }
    swarm.play(0, options={index: {"update": update} for index, update in updates.items()}, places=places)
    for member in swarm.members:
        assert np.array_equal(member.vector, member.base.vector)
    step = 1 / swarm.sharing.fixed.scale
    expected = np.zeros(swarm.size)
    expected[places] = 0.5 + 7 * step
    np.testing.assert_allclose(swarm.members[0].base.vector, expected, atol=step)


def test_a_round_begins_once():
    swarm = GuardedSwarm(6, one_cell(6)).play(0)
    with pytest.raises(RuntimeError, match="round 0 was started before"):
        swarm.members[0].rounds[0].start(0.0)


# --- channel keys that some do not know yet ---------------------------------------------------------------------------


@pytest.mark.parametrize("stale", [(1,), (1, 2), (0, 1, 2, 3, 5)])
@pytest.mark.parametrize("none", [False, True], ids=["another key", "no key"])
def test_boxes_sealed_to_a_key_that_a_member_has_lost_cost_no_share_and_no_name(stale, none):
    """Whether one, some or all of the others still seal to the key of its last life."""
    swarm = GuardedSwarm(6, one_cell(6), shamir())
    member = swarm.members[4]
    member.hand = replace(member.hand, channel_key=ChannelKey(bytes(96)), key_is_new=True)
    for other in swarm.members:
        known = dict(other.keys)
        if other.index not in stale:
            known[swarm.order[4]] = member.hand.channel_key.public
        elif none:
            del known[swarm.order[4]]
        other.keys = known
    swarm.play(0)
    close_to(swarm, np.mean(list(swarm.learned.values()), axis=0), atol=1e-3)
    assert all(len(outcome.present) == 5 for outcome in swarm.outcomes(0))
    assert not any(one.rounds[0].faults for one in swarm.members)
    published = {Stage(m.stage) for _, _, m in swarm.sent if isinstance(m, Item)}
    assert not published & {Stage.SUPPLY, Stage.DISPUTE}
    assert swarm.took_s < DEADLINE_S


def test_the_same_box_is_to_be_published_where_the_key_is_known():
    """A box that does not open under a key that all have known for long is its dealer's affair."""
    swarm = GuardedSwarm(6, one_cell(6), shamir())
    swarm.members[1].keys = {**swarm.members[1].keys, swarm.order[4]: ChannelKey(bytes(96)).public}
    swarm.play(0)
    assert Stage.SUPPLY in {Stage(m.stage) for _, _, m in swarm.sent if isinstance(m, Item)}
