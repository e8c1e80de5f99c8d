"""Masked rounds in virtual time: exact sums, dropouts at every wave, and never both kinds of shares of anybody."""

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from consensus.effects import Heard, Send, Tick, WakeAt
from consensus.encrypted_messages import pack_counted, unpack_counted
from consensus.errors import PlanError, RemoteFault
from consensus.masked_messages import (
    Dealt,
    Decided,
    Hello,
    Lacking,
    Masked,
    Report,
    Revealed,
    Stage,
    Summed,
    masked_statement,
)
from consensus.masked_round import MaskedRound
from consensus.masked_states import State
from consensus.masked_terms import MaskedTerms, mutual
from consensus.signer import Signer
from crypto.fixedpoint import FixedPoint
from crypto.masks import SHARE_BYTES
from tests.consensus.secret_cell import Cell, Weather, identities, verifying

DEADLINE_S = 10.0
SIZE = 23
FIXED = FixedPoint(scale=2.0**20, clip=32.0, members=16)


def terms_of(people, number=0, **more):
    more = {"size": SIZE, "deadline_s": DEADLINE_S, "fixed": FIXED, "tolerated": 1, **more}
    return MaskedTerms(cell=tuple(one.peer_id for one in people), number=number, **more)


def machine_of(one, terms, vector, **more):
    rng = random.Random(one.peer_id)
    return MaskedRound(one.peer_id, terms, vector, Signer(one.sign, verifying, rng.randbytes), **more)


def run(members=5, number=0, seed=0, weather=Weather(), tamper=None, idle=(), noise=None, **more):  # noqa: B008
    """`idle` members, by index, bring nothing; the others add `noise` to what they bring."""
    people = identities(members)
    terms = terms_of(people, number, **more)
    values = np.random.default_rng(1).normal(size=(members, terms.size)).astype(np.float32)
    rows = dict(zip(terms.cell, values, strict=True)) | {terms.cell[index]: None for index in idle}
    cell = Cell(people, lambda one: machine_of(one, terms, rows[one.peer_id], noise=noise), seed, weather, tamper)
    cell.words = {peer: machine._words for peer, machine in zip(terms.cell, cell.machines, strict=True)}
    return cell.run(), terms


def check(cell, terms):
    """What holds whatever the network does."""
    assert max((len(getattr(message, "body", b"")) for *_, message in cell.sent), default=0) <= terms.max_body
    means = {outcome.mean.tobytes() for outcome in cell.outcomes.values() if outcome.mean is not None}
    assert len(means) <= 1
    for index, outcome in cell.outcomes.items():
        assert (outcome.mean is None) == (outcome.void is not None)
        assert cell.closed_at[index] <= 9 * DEADLINE_S + 1
        if outcome.mean is not None:
            assert len(outcome.accepted) >= terms.least
            total = np.sum([cell.words[peer] for peer in outcome.accepted], axis=0, dtype=np.uint32)
            assert np.array_equal(outcome.mean, terms.decode(total, outcome.accepted))
            assert not outcome.mean.flags.writeable
    either_or(cell)


def either_or(cell, liar=None):
    """Nobody signs two revelations that differ, and so reveals one kind of share of each member."""
    said = {}
    for sender, _, message in cell.sent:
        if isinstance(message, Revealed) and sender != liar:
            said.setdefault(sender, set()).add((message.members, bytes(message.body)))
    assert all(len(different) == 1 for different in said.values())


# -- sums


@pytest.mark.parametrize("members", [3, 4, 5, 8, 13])
def test_a_round_is_the_exact_sum(members):
    cell, terms = run(members, size=101)
    check(cell, terms)
    assert [outcome.accepted for outcome in cell.outcomes.values()] == [terms.cell] * members
    assert not cell.faults
    assert max(cell.closed_at.values()) < DEADLINE_S


def test_the_mean_is_that_of_the_vectors():
    cell, _ = run(4)
    values = np.random.default_rng(1).normal(size=(4, SIZE)).astype(np.float32)
    assert np.abs(cell.outcomes[0].mean - values.mean(0)).max() < 2 * 2.0**-20


def test_noise_is_added_on_the_lattice():
    plain, _ = run(4)
    noise = np.random.default_rng(3).integers(-1000, 1001, SIZE).astype(np.int32)
    noised, terms = run(4, noise=noise, fixed=FixedPoint(2.0**20, 32.0, 16, noise=1000))
    check(noised, terms)
    difference = (noised.outcomes[0].mean - plain.outcomes[0].mean) * 2.0**20
    assert np.abs(difference - noise).max() < 1


@pytest.mark.parametrize("idle", [(0,), (1,), (0, 3), (6, 7)])
@pytest.mark.parametrize("number", [0, 1])
def test_members_that_bring_nothing_decide_listen_and_hold_nobody_up(idle, number):
    """In round 0 it is for member 0 to say who counts, in round 1 for member 1."""
    cell, terms = run(8, number=number, idle=idle)
    brought = tuple(peer for index, peer in enumerate(terms.cell) if index not in idle)
    check(cell, terms)
    assert [outcome.accepted for outcome in cell.outcomes.values()] == [brought] * 8
    assert max(cell.closed_at.values()) < DEADLINE_S
    assert [cell.outcomes[index].exposed for index in range(8)] == [index not in idle for index in range(8)]


def test_too_few_that_bring_something_open_nothing():
    cell, terms = run(5, idle=(0, 1))
    assert terms.least == 4
    assert all(outcome.mean is None and outcome.void for outcome in cell.outcomes.values())


@pytest.mark.parametrize("first", [0, 1])
def test_who_brings_something_and_nothing_is_named(first):
    people = identities(4)
    terms = terms_of(people)
    vectors = np.zeros(SIZE, np.float32), None
    me, *liars = (machine_of(one, terms, vector) for one, vector in zip(people, (vectors[0], *vectors), strict=False))
    hellos = [next(send.message for send in liar.start(0.0) if isinstance(send.message, Hello)) for liar in liars]
    hellos[1] = replace(hellos[1], signature=b"")
    hellos[1] = replace(hellos[1], signature=people[1].sign(masked_statement(terms.context, hellos[1])))
    me.start(0.0)
    me.receive(Heard(terms.cell[1], hellos[first]), 1.0)
    with pytest.raises(RemoteFault, match="something and nothing"):
        me.receive(Heard(terms.cell[1], hellos[1 - first]), 1.0)


def test_what_it_costs_is_a_ring_all_reduce_and_one_fragment():
    members, size = 8, 80_000
    cell, _ = run(members, size=size)
    sent = sum(len(message.body) for _, _, message in cell.sent if isinstance(message, Masked | Summed))
    rest = sum(len(message.body) for _, _, message in cell.sent if isinstance(message, Hello | Dealt | Revealed))
    ring = 2 * (members - 1) / members * 4 * size
    assert sent / members / ring == pytest.approx(1 + 1 / (2 * (members - 1)))
    assert rest / members < 5000


def test_masked_words_say_nothing_by_themselves():
    cell, terms = run(5, size=50_000)
    for sender, _, message in cell.sent:
        if isinstance(message, Masked):
            words = np.frombuffer(message.body, "<u4")
            start, end = terms.edges(5)[message.fragment]
            plain = cell.words[terms.cell[sender]][start:end]
            assert np.mean(words == plain) < 0.001
            assert abs(np.mean(words >> np.uint32(31)) - 0.5) < 0.03  # updates are small: their top bits are not


# -- dropouts


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("at", [0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1, 1.3, 1.5])
@pytest.mark.parametrize("victim", [1, 4])
def test_one_dropout_at_any_moment_costs_itself(victim, at, announced):
    cell, terms = run(6, number=0, weather=Weather(crashes={victim: at}, announced=announced), seed=int(100 * at))
    check(cell, terms)
    assert set(range(6)) - {victim} <= cell.outcomes.keys()
    assert all(outcome.mean is not None for outcome in cell.outcomes.values())
    assert len({outcome.accepted for outcome in cell.outcomes.values()}) == 1


@pytest.mark.parametrize("kind", [Hello, Dealt, Report, Masked, Revealed, Summed])
@pytest.mark.parametrize("sent", [0, 1, 2, 3])
def test_a_member_that_dies_in_the_middle_of_a_wave_costs_itself(kind, sent):
    """It sends so many messages of one kind, and nothing after that."""
    count = 0

    def tamper(sender, receiver, message):
        nonlocal count
        if sender != 3:
            return message
        if isinstance(message, kind) or count > sent:
            count += 1
        return None if count > sent else message

    cell, terms = run(6, tamper=tamper)
    check(cell, terms)
    assert all(cell.outcomes[index].mean is not None for index in range(6) if index != 3)


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8, 1.1, 1.4])
def test_without_its_coordinator_a_round_is_void_or_decided(at):
    cell, terms = run(5, number=0, weather=Weather(crashes={0: at}, announced=False))
    check(cell, terms)
    assert set(range(1, 5)) <= cell.outcomes.keys()


def test_nobody_waits_for_the_decision_of_a_coordinator_that_was_gone_before():
    """Where one member is gone for good, every m-th round is its turn."""
    people = identities(6)
    terms = terms_of(people)
    vector, gone = np.ones(SIZE, np.float32), terms.cell[0]
    cell = Cell(people, lambda one: machine_of(one, terms, vector, absent=[gone]), weather=Weather(crashes={0: 0.0}))
    cell.run()
    assert {index: outcome.mean for index, outcome in cell.outcomes.items()} == dict.fromkeys(range(1, 6))
    assert max(cell.closed_at.values()) < DEADLINE_S
    back = Cell(people, lambda one: machine_of(one, terms, vector, absent=[] if one == people[0] else [gone])).run()
    assert all(outcome.mean is not None for outcome in back.outcomes.values())


@pytest.mark.parametrize("pair", list(combinations([1, 2, 3, 4], 2)))
def test_two_dropouts_between_roster_and_acceptance_are_unmasked(pair):
    """Their masks are in the words of the others, and come off."""

    def tamper(sender, receiver, message):
        return (
            None
            if sender in pair
            and isinstance(message, Masked | Report | Revealed | Summed)
            and (not isinstance(message, Report) or message.stage == Stage.MASKED)
            else message
        )

    cell, terms = run(7, tamper=tamper)
    check(cell, terms)
    rest = tuple(peer for index, peer in enumerate(terms.cell) if index not in pair)
    assert all(cell.outcomes[index].accepted == rest for index in range(7) if index not in pair)
    kinds = [message for _, _, message in cell.sent if isinstance(message, Revealed)]
    assert {unpack_counted(terms.cell, message.members) for message in kinds} == {rest}


@pytest.mark.parametrize("seed", range(30))
def test_foul_weather_makes_a_round_smaller_or_void(seed):
    weather = Weather(
        loss=0.04, repeat=0.2, latency_s=3.0, job_s=2.0,
        outages=((1.0, 12.0, seed % 6),), crashes={(seed + 3) % 6: 5.0 + seed},
    )  # fmt: skip
    cell, terms = run(6, seed=seed, number=seed, weather=weather)
    assert not cell.faults
    check(cell, terms)


def test_too_few_members_void_a_round():
    cell, terms = run(5, tolerated=2, weather=Weather(crashes={1: 0.0, 2: 0.0}))
    check(cell, terms)
    assert terms.least == 4
    assert all(outcome.void for outcome in cell.outcomes.values())
    assert not any(outcome.exposed for outcome in cell.outcomes.values())


# -- either or


def signed(people, terms, index, message):
    return machine_of(people[index], terms, np.zeros(terms.size, np.float32))._voice.signed(message)


def test_a_coordinator_that_decides_twice_gets_one_kind_of_share():
    people = identities(6)
    terms = terms_of(people)
    both = []

    def tamper(sender, receiver, message):
        if isinstance(message, Decided) and message.stage == Stage.MASKED and receiver == 1:
            both.append(message)
        return message

    cell, terms = run(6, tamper=tamper)
    one = cell.machines[1]
    assert both
    without = pack_counted(terms.cell, terms.cell[:-1])
    # Again, with the round replayed up to the first decision:
    cell = replay(people, terms, until=Revealed)
    second = signed(people, terms, 0, Decided(0, Stage.MASKED, without, b""))
    with pytest.raises(RemoteFault, match="second decision"):
        cell.machines[1].receive(Heard(terms.cell[0], second), cell.now)
    effects = cell.machines[1].receive(Tick(), cell.now)
    assert not any(isinstance(effect, Send) and isinstance(effect.message, Revealed) for effect in effects)
    assert not cell.machines[1]._secrets.held  # what was not revealed is gone
    assert one.outcome.mean is not None


def replay(people, terms, until):
    """A round that stops as soon as member 1 has sent a message of kind `until`."""
    values = np.ones(terms.size, np.float32)
    cell = Cell(people, lambda one: machine_of(one, terms, values))

    def tamper(sender, receiver, message):
        if sender == 1 and isinstance(message, until):
            cell._heap.clear()
            raise StopIteration
        return message

    cell.tamper = tamper
    with pytest.raises(StopIteration):
        cell.run()
    return cell


def test_two_faced_decisions_do_not_give_both_secrets_of_a_member():
    """To half of the members it counts, to the other half it does not: neither half is enough."""
    people = identities(6)
    terms = terms_of(people)
    target = terms.cell[3]

    def tamper(sender, receiver, message):
        if isinstance(message, Decided) and message.stage == Stage.MASKED and receiver % 2:
            members = [peer for peer in terms.cell if peer != target]
            return signed(people, terms, 0, replace(message, members=pack_counted(terms.cell, members)))
        return message

    cell, terms = run(6, tamper=tamper)
    kinds = {True: set(), False: set()}
    for sender, _, message in cell.sent:
        if isinstance(message, Revealed):
            kinds[target in unpack_counted(terms.cell, message.members)].add(sender)
    assert not kinds[True] & kinds[False]
    reached = [len(revealing - {0}) + terms.tolerated >= terms.threshold for revealing in kinds.values()]
    assert kinds[True]
    assert kinds[False]
    assert sum(reached) <= 1  # with the coordinator's own word as that of a colluder
    either_or(cell)
    assert all(outcome.mean is None for outcome in cell.outcomes.values())


@pytest.mark.parametrize(("members", "tolerated"), [(m, t) for m in range(3, 30) for t in range(m - 1)])
def test_no_two_quorums_without_an_honest_member_in_both(members, tolerated):
    terms = None
    try:
        terms = terms_of(identities(members)[:members], tolerated=tolerated, fixed=replace(FIXED, members=30), size=64)
    except PlanError:
        assert (members + tolerated) // 2 + 1 > members or tolerated + 2 > members
    else:
        assert 2 * terms.threshold - members > tolerated
        assert terms.least >= tolerated + 2


# -- lies


@pytest.mark.parametrize("kind", [Hello, Report, Decided, Masked, Revealed, Summed])
@pytest.mark.parametrize("lie", ["unsigned", "short", "bits"])
def test_who_sends_what_no_honest_member_sends_is_named(kind, lie):
    people = identities(6)
    terms = terms_of(people)
    liar = 0 if kind is Decided else 2

    def tamper(sender, receiver, message):
        if sender != liar or not isinstance(message, kind):
            return message
        if lie == "unsigned":
            return replace(message, signature=bytes(64))
        if lie == "short" and hasattr(message, "body"):
            return signed(people, terms, liar, replace(message, body=bytes(message.body)[:-1]))
        if lie == "bits" and hasattr(message, "members"):
            return signed(people, terms, liar, replace(message, members=b"\xff" * 32))
        return message

    cell, terms = run(6, tamper=tamper)
    check(cell, terms)
    assert {fault.culprit for _, fault in cell.faults} <= {terms.cell[liar]}
    if lie == "unsigned" or (lie == "short" and hasattr(kind, "body")):
        assert cell.faults
    assert set(range(6)) <= cell.outcomes.keys() | {liar}


@pytest.mark.parametrize("gone", [1, 5])
def test_a_coordinator_that_tells_of_two_rosters_does_not_have_honest_members_name_each_other(gone):
    people = identities(6)
    terms = terms_of(people)
    some = tuple(peer for peer in terms.cell if peer != terms.cell[gone])

    def tamper(sender, receiver, message):
        if sender == 0 and isinstance(message, Decided):
            members = terms.cell if message.stage == Stage.DEALT and receiver % 2 == 0 else some
            return signed(people, terms, 0, replace(message, members=pack_counted(terms.cell, members)))
        return message

    cell, terms = run(6, tamper=tamper)
    either_or(cell)
    assert any(isinstance(message, Revealed) for *_, message in cell.sent)
    assert {culprit.peer for outcome in cell.outcomes.values() for culprit in outcome.culprits} <= {terms.cell[0]}


def test_sums_of_another_roster_are_nobodys_fault():
    """As for shares: who tells them apart by their size or their author has heard of another roster, and no lie."""
    people = identities(6)
    terms = terms_of(people)
    cell = replay(people, terms, until=Revealed)
    machine = cell.machines[1]
    machine._opening.counted = terms.cell
    machine._coordinator.decisions[Stage.MASKED] = terms.cell
    everybody = pack_counted(terms.cell, terms.cell)
    start, end = terms.edges(6)[4]
    for body in (bytes(4 * (end - start)), bytes(4 * (end - start) + 4)):
        machine.receive(Heard(terms.cell[2], signed(people, terms, 2, Summed(0, 4, everybody, b"", body))), cell.now)
    assert 4 not in machine._opening.sums
    with pytest.raises(RemoteFault, match="not signed"):
        machine.receive(Heard(terms.cell[2], Summed(0, 4, everybody, bytes(64), body)), cell.now)


def test_a_wrong_share_voids_the_round_rather_than_giving_a_wrong_sum():
    people = identities(5)
    terms = terms_of(people)

    def tamper(sender, receiver, message):
        if sender == 1 and isinstance(message, Revealed):
            body = bytearray(message.body)
            body[SHARE_BYTES * 2] ^= 1
            return signed(people, terms, 1, replace(message, body=bytes(body)))
        return message

    cell, terms = run(5, tamper=tamper)
    check(cell, terms)
    for outcome in cell.outcomes.values():
        assert outcome.mean is None or np.isfinite(outcome.mean).all()


@pytest.mark.parametrize("seed", range(40))
def test_messages_of_garbage_raise_remote_fault_and_nothing_else(seed):
    """Signed by their sender, with fields as the wire lets through, at any moment of a round."""
    people, rng = identities(5), random.Random(seed)
    terms = terms_of(people)

    def garbage():
        bits = rng.choice([bytes(32), b"\x1f" + bytes(31), rng.randbytes(32), b"\x0f" + bytes(31)])
        body = rng.randbytes(rng.choice([0, 1, 4, 16, 20, 82, 96, SHARE_BYTES * 5]))
        stage, fragment = rng.randrange(2), rng.randrange(256)
        return rng.choice([
            Lacking(0, bits, b""),
            Hello(0, b"", body), Dealt(0, body), Report(0, stage, bits, b""), Decided(0, stage, bits, b""),
            Masked(0, fragment % 7, bits, b"", body), Revealed(0, bits, b"", body),
            Summed(0, fragment, bits, b"", body),
        ])  # fmt: skip

    def tamper(sender, receiver, message):
        if sender == seed % 5 and rng.random() < 0.4:
            lie = garbage()
            return lie if isinstance(lie, Dealt) else signed(people, terms, sender, lie)
        return message

    cell, terms = run(5, tamper=tamper)
    assert {fault.culprit for _, fault in cell.faults} <= {terms.cell[seed % 5]}
    assert len(cell.outcomes) == 5
    either_or(cell, liar=seed % 5)


def test_a_lie_that_came_early_does_not_swallow_what_a_decision_asks_for():
    people = identities(6)
    terms = terms_of(people)
    rows = np.ones(terms.size, np.float32)
    cell = Cell(people, lambda one: machine_of(one, terms, rows))
    everybody = pack_counted(terms.cell, terms.cell)
    for lie in (Masked(0, 1, everybody, b"", b"x"), Revealed(0, everybody, b"", b"x")):
        cell._at(0.4, lambda lie=lie: cell._post(2, 1, signed(people, terms, 2, lie)))
    cell.run()
    assert len(cell.outcomes) == 6
    assert cell.outcomes[1].mean is not None
    assert [culprit.peer for culprit in cell.outcomes[1].culprits] == [terms.cell[2]]


def test_a_coordinator_that_counts_on_who_brings_nothing_crashes_nobody():
    people = identities(5)
    terms = terms_of(people)
    machine = machine_of(people[1], terms, None)
    machine.start(0.0)
    everybody = pack_counted(terms.cell, terms.cell)
    for stage in Stage:
        said = signed(people, terms, 0, Decided(0, stage, everybody, b""))
        assert not any(isinstance(effect, Send) for effect in machine.receive(Heard(terms.cell[0], said), 0.1))
    machine.receive(Tick(), 9 * DEADLINE_S)
    assert machine.outcome.mean is None
    assert not machine.outcome.exposed


def test_what_is_kept_of_decisions_that_come_early_is_bounded():
    people = identities(5)
    terms = terms_of(people)
    machine = machine_of(people[1], terms, np.zeros(SIZE, np.float32))
    machine.start(0.0)
    said = signed(people, terms, 0, Decided(0, Stage.MASKED, pack_counted(terms.cell, terms.cell), b""))
    for _ in range(30):
        machine.receive(Heard(terms.cell[0], said), 0.1)
    assert len(machine._early) == 2


# -- the machine alone


def test_time_alone_ends_a_round():
    people = identities(4)
    for one in people:
        machine = machine_of(one, terms_of(people), np.ones(SIZE, np.float32))
        effects, now = machine.start(100.0), 100.0
        while machine.outcome is None:
            wake = [effect.time for effect in effects if isinstance(effect, WakeAt)]
            assert wake
            now = wake[-1]
            effects = machine.receive(Tick(), now)
        assert now <= 100 + 9 * DEADLINE_S
        assert not machine.outcome.exposed
        with pytest.raises(RuntimeError):
            machine.start(now)


def test_secrets_end_with_the_round():
    cell, _ = run(4)
    for machine in cell.machines:
        assert machine._state is State.CLOSED
        assert not machine._secrets.held
        assert not machine._opening._revealed


def test_mutual_members_have_each_other():
    rng = random.Random(0)
    for _ in range(200):
        names = "abcdefgh"[: rng.randint(1, 8)]
        seen = {a: {b for b in names if a == b or rng.random() < 0.8} for a in names}
        kept = mutual(seen)
        assert all(b in seen[a] for a in kept for b in kept)
        assert kept or not names
    assert mutual({"a": "abc", "b": "abc", "c": "abc"}) == ("a", "b", "c")
    assert mutual({"a": "abc", "b": "abc", "c": "c"}) == ("a", "b")


@pytest.mark.parametrize("bad", [
    {"size": 3}, {"deadline_s": 0.0}, {"number": -1}, {"tolerated": -1}, {"tolerated": 3}, {"least_honest": 1},
    {"least_honest": 4}, {"fixed": FixedPoint(2.0**10, 1.0, 3)},
])  # fmt: skip
def test_terms_outside_a_bound_are_refused(bad):
    with pytest.raises(PlanError):
        terms_of(identities(4), **bad)


def test_a_vector_that_cannot_be_carried_is_refused_at_once():
    people = identities(4)
    for bad in (np.full(SIZE, np.nan, np.float32), np.zeros(SIZE + 1, np.float32), np.zeros(SIZE)):
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            machine_of(people[0], terms_of(people), bad)
    for noise in (np.ones(SIZE, np.int32), np.zeros(SIZE - 1, np.int32), np.zeros(SIZE)):
        with pytest.raises(ValueError, match="noise"):
            machine_of(people[0], terms_of(people), np.zeros(SIZE, np.float32), noise=noise)
    with pytest.raises(PlanError, match="not in the cell"):
        machine_of(next(one for one in identities(5) if one not in people), terms_of(people), None)
