"""Encrypted rounds in virtual time: with TenSEAL for what is summed, with a stand-in for what can go wrong."""

import random
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest

from consensus.compute import Compute, Computed
from consensus.effects import Down, Heard, Send, Tick, WakeAt
from consensus.encrypted_messages import Ciphertext, Opened, RoundKey, Total, pack_counted, unpack_counted
from consensus.encrypted_round import EncryptedRound
from consensus.encrypted_terms import EncryptedTerms
from consensus.errors import PlanError, RemoteFault
from consensus.signer import Signer
from crypto.bfv import Bfv
from crypto.ckks import Ckks
from crypto.fixedpoint import FixedPoint
from crypto.homomorphic import KeyPair, Scheme, require_values
from crypto.homomorphic_errors import HomomorphicError
from tests.consensus.secret_cell import Cell, Weather, identities, verifying

DEADLINE_S = 10.0
SIZE = 5


@dataclass(frozen=True)
class Glass(Scheme):
    """A scheme that hides nothing and takes no time."""

    description = ("glass",)
    resolution = 0.0
    fixed = None

    def generate(self):
        return KeyPair(b"secret", b"public")

    def check_public(self, public):
        if bytes(public) != b"public":
            raise HomomorphicError("not a key")

    def check_body(self, body, size):
        if len(body) != 8 * size:
            raise HomomorphicError("not a ciphertext")

    def encode(self, values, weight, seed, noise=None):
        require_values(values, weight)
        return values.astype(np.float64) * weight

    def encrypt(self, public, values, weight, seed, noise=None):
        return self.encode(values, weight, seed).tobytes()

    def add(self, bodies, size):
        return sum(np.frombuffer(body) for body in bodies).tobytes()

    def decrypt(self, secret, body, size):
        return np.frombuffer(body).astype(np.float32)

    def decode(self, slots):
        return slots

    def _vector(self, context, slots): ...
    def _load_vector(self, context, serialized): ...


def vectors(members, size=SIZE):
    return np.random.default_rng(1).normal(size=(members, size)).astype(np.float32)


def terms_of(people, number=0, scheme=None, **more):
    cell = tuple(one.peer_id for one in people)
    more = {"size": SIZE, "deadline_s": DEADLINE_S, **more}
    return EncryptedTerms(cell=cell, number=number, scheme=scheme or Glass(), **more)


def signer(one):
    return Signer(one.sign, verifying, lambda size: bytes(size))


def run(
    members=5,
    number=0,
    values=None,
    seed=0,
    weather=Weather(),  # noqa: B008
    tamper=None,
    idle=(),
    noise=None,
    **more,
):
    """`idle` members, by index, bring nothing; the others add `noise` to what they bring."""
    people = identities(members)
    terms = terms_of(people, number, **more)
    values = vectors(members, terms.size) if values is None else values
    rows = dict(zip(terms.cell, values, strict=True)) | {terms.cell[index]: None for index in idle}
    make = lambda one: EncryptedRound(one.peer_id, terms, rows[one.peer_id], signer(one), noise=noise)  # noqa: E731
    return Cell(people, make, seed, weather, tamper).run(), terms, rows


def expected(terms, rows, accepted):
    return np.mean([rows[peer] for peer in accepted], axis=0, dtype=np.float64)


def check(cell, terms, rows, tolerance=1e-6):
    """What holds whatever the network does: every outcome with a mean is the mean of those whom it names."""
    for index, outcome in cell.outcomes.items():
        assert (outcome.mean is None) == (outcome.void is not None)
        assert cell.closed_at[index] <= 4 * DEADLINE_S + 1
        if outcome.mean is not None:
            assert {peer for peer in (terms.keeper, terms.relay) if rows[peer] is not None} <= set(outcome.accepted)
            assert len(set(outcome.accepted) - {terms.keeper}) >= terms.least
            assert not outcome.mean.flags.writeable
            assert np.abs(outcome.mean - expected(terms, rows, outcome.accepted)).max() < tolerance
            assert set(outcome.absent) == set(terms.cell) - set(outcome.accepted) - {terms.cell[index]}
    assert len({outcome.mean.tobytes() for outcome in cell.outcomes.values() if outcome.mean is not None}) <= 1


# -- sums --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "tolerance"),
    [(Ckks(), 1e-6), (Bfv(FixedPoint(scale=2.0**20, clip=100.0, members=4)), 1e-5)],
    ids=["ckks", "bfv"],
)
def test_a_round_gives_all_the_same_mean(scheme, tolerance):
    cell, terms, rows = run(4, number=2, scheme=scheme, size=4097)
    check(cell, terms, rows, tolerance)
    assert max(len(getattr(message, "body", b"")) for *_, message in cell.sent) == terms.max_body
    assert [outcome.accepted for outcome in cell.outcomes.values()] == [terms.cell] * 4
    assert not cell.faults
    kinds = [type(message).__name__ for _, _, message in cell.sent]
    assert {kind: kinds.count(kind) for kind in kinds} == {"RoundKey": 3, "Ciphertext": 2, "Total": 1, "Opened": 3}


@pytest.mark.parametrize("kind", [Ckks, Bfv])
def test_noise_is_added_on_the_lattice_and_the_sum_is_exact(kind):
    noise = np.random.default_rng(3).integers(-1000, 1001, SIZE).astype(np.int32)
    scheme = kind(FixedPoint(2.0**12, 8.0, 4, noise=1000))
    cell, terms, _ = run(4, values=np.zeros((4, SIZE), np.float32), scheme=scheme, noise=noise)
    for outcome in cell.outcomes.values():
        assert outcome.accepted == terms.cell
        assert np.array_equal(outcome.mean, (noise / 2.0**12).astype(np.float32))


@pytest.mark.parametrize("idle", [(0,), (1,), (2,), (0, 1), (1, 3), (2, 3)])
def test_members_that_bring_nothing_keep_relay_listen_and_hold_nobody_up(idle):
    """In round 0 member 0 is the keeper, and member 1 the relay."""
    cell, terms, rows = run(5, idle=idle)
    brought = tuple(peer for index, peer in enumerate(terms.cell) if index not in idle)
    check(cell, terms, rows)
    assert [outcome.accepted for outcome in cell.outcomes.values()] == [brought] * 5
    assert max(cell.closed_at.values()) < DEADLINE_S
    assert not cell.faults


def test_too_few_that_bring_something_open_nothing():
    cell, _, _ = run(5, idle=(1, 2, 3))
    assert all(outcome.mean is None and outcome.void for outcome in cell.outcomes.values())


def test_each_pair_has_its_turn_once():
    people = identities(5)
    pairs = [(terms_of(people, n).keeper, terms_of(people, n).relay) for n in range(40)]
    peers = {one.peer_id for one in people}
    assert set(pairs[:20]) == {(a, b) for a, b in product(peers, peers) if a != b}
    assert pairs[20:] == pairs[:20]


# -- who sees what -----------------------------------------------------------------------------------------------------


def test_the_relay_sees_ciphertexts_alone_and_the_keeper_none_of_them():
    cell, terms, _ = run(6)
    keeper, relay = terms.cell.index(terms.keeper), terms.cell.index(terms.relay)
    for sender, receiver, message in cell.sent:
        match message:
            case Ciphertext():
                assert receiver == relay
                assert sender not in (keeper, relay)
            case Total():
                assert (sender, receiver) == (relay, keeper)
            case RoundKey() | Opened():
                assert sender == keeper


def test_the_vector_of_the_keeper_leaves_it_in_the_mean_alone():
    values = vectors(4)
    keeper = terms_of(identities(4)).cell.index(terms_of(identities(4)).keeper)
    other = values.copy()
    other[keeper] += 1
    bodies = [
        [bytes(message.body) for _, _, message in run(4, values=rows)[0].sent if not isinstance(message, Opened)]
        for rows in (values, other)
    ]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("seed", range(8))
def test_nobody_reads_a_sum_of_less_than_the_least(seed):
    cell, terms, rows = run(5, least=4, seed=seed, weather=Weather(loss=0.15))
    for _, _, message in cell.sent:
        if isinstance(message, Total):
            assert len(unpack_counted(terms.cell, message.counted)) >= 4
    check(cell, terms, rows)


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_foul_weather_makes_a_round_smaller_or_void(seed):
    weather = Weather(loss=0.1, repeat=0.2, latency_s=4.0, job_s=2.0, outages=((1.0, 8.0, seed % 6),))
    cell, terms, rows = run(6, seed=seed, number=seed, weather=weather)
    assert len(cell.outcomes) == 6
    assert not cell.faults
    check(cell, terms, rows)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("at", [0.0, 0.35, 0.6, 0.9, 1.2])
@pytest.mark.parametrize("victim", range(5))
def test_a_member_that_goes_takes_itself_or_the_round_with_it(victim, at, announced):
    weather = Weather(crashes={victim: at}, announced=announced)
    cell, terms, rows = run(5, weather=weather, seed=victim)
    check(cell, terms, rows)
    alive = set(range(5)) - {victim}
    assert alive <= cell.outcomes.keys()
    if terms.cell[victim] not in (terms.keeper, terms.relay):
        assert all(cell.outcomes[index].mean is not None for index in alive)
        if announced:
            assert max(cell.closed_at.values()) < DEADLINE_S


def test_without_keeper_or_relay_nobody_waits():
    for role in ("keeper", "relay", "third"):
        for gone in ("keeper", "relay"):
            machine, _ = alone(role, absent=gone)
            effects = machine.start(0.0)
            if role == "keeper" and gone == "relay":
                effects = machine.receive(Computed(1, effects[0].job.run()), 0.0)
            assert (machine.outcome is not None) == (role != gone and "keeper" in (role, gone))


def test_an_absent_member_costs_one_wait_and_no_more():
    people = identities(5)
    terms = terms_of(people)
    third = next(i for i, peer in enumerate(terms.cell) if peer not in (terms.keeper, terms.relay))
    cell, *_ = run(5, weather=Weather(crashes={third: 0.0}, announced=False))
    assert 2 * DEADLINE_S < max(cell.closed_at.values()) < 2 * DEADLINE_S + 3
    assert all(outcome.absent == (terms.cell[third],) for i, outcome in cell.outcomes.items() if i != third)


def test_what_was_missed_is_sent_again():
    people = identities(4)
    terms = terms_of(people)
    third = next(i for i, peer in enumerate(terms.cell) if peer not in (terms.keeper, terms.relay))
    cell, terms, rows = run(4, weather=Weather(outages=((0.0, 5.0, third),)), least=3)
    check(cell, terms, rows)
    assert cell.outcomes[third].accepted == terms.cell


# -- lies --------------------------------------------------------------------------------------------------------------


def resigned(people, terms, sender, message):
    machine = EncryptedRound(terms.cell[sender], terms, np.zeros(terms.size, np.float32), signer(people[sender]))
    return machine._signed(message)


LIES = {
    "unsigned": lambda m, _: replace(m, signature=bytes(64)),
    "short body": lambda m, sign: sign(
        replace(m, vector=m.vector[:-1]) if isinstance(m, Opened) else replace(m, body=b"x")
    ),
    "bits too many": lambda m, sign: sign(replace(m, counted=b"\xff" * 32)) if hasattr(m, "counted") else None,
    "nobody": lambda m, sign: sign(replace(m, counted=bytes(32))) if hasattr(m, "counted") else None,
    "not finite": lambda m, sign: sign(replace(m, vector=m.vector * np.nan)) if isinstance(m, Opened) else None,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", [RoundKey, Ciphertext, Total, Opened])
def test_who_sends_what_no_honest_member_sends_is_named(kind, lie):
    people = identities(5)
    terms = terms_of(people)
    keeper, relay = terms.cell.index(terms.keeper), terms.cell.index(terms.relay)
    third = next(i for i in range(5) if i not in (keeper, relay))
    liar = {RoundKey: keeper, Ciphertext: third, Total: relay, Opened: keeper}[kind]

    def tamper(sender, receiver, message):
        if sender != liar or not isinstance(message, kind):
            return message
        return LIES[lie](message, lambda m: resigned(people, terms, sender, m)) or message

    cell, terms, _ = run(5, tamper=tamper)
    honest = {i: outcome for i, outcome in cell.outcomes.items() if i != liar}
    assert {fault.culprit for _, fault in cell.faults} <= {terms.cell[liar]}
    told = hasattr(Total, "counted") and kind in (Total, Opened)
    if lie in ("unsigned", "short body") or (told and lie in ("bits too many", "nobody")):
        assert cell.faults
        assert any(culprit.peer == terms.cell[liar] for o in honest.values() for culprit in o.culprits)
    if kind is Ciphertext and lie in ("unsigned", "short body"):
        assert all(terms.cell[liar] in outcome.absent for outcome in honest.values())
        assert all(outcome.mean is not None for outcome in honest.values())


@pytest.mark.parametrize("seed", range(30))
def test_messages_of_garbage_raise_remote_fault_and_nothing_else(seed):
    """Signed by their sender, with fields as the wire lets through, at any moment of a round."""
    people, rng, liar = identities(5), random.Random(seed), seed % 5
    terms = terms_of(people, seed // 5)

    def tamper(sender, receiver, message):
        if sender != liar or rng.random() < 0.5:
            return message
        bits = rng.choice([bytes(32), b"\x1f" + bytes(31), rng.randbytes(32), b"\x0f" + bytes(31)])
        body = rng.choice([b"", b"public", rng.randbytes(8 * SIZE), rng.randbytes(7)])
        vector = rng.choice([np.full(SIZE, np.nan, np.float32), np.zeros(3, np.float32), np.ones(SIZE, np.float32)])
        lie = rng.choice([
            RoundKey(terms.number, b"", body), Ciphertext(terms.number, rng.randbytes(32), b"", body),
            Total(terms.number, bits, b"", body), Opened(terms.number, bits, b"", vector),
        ])  # fmt: skip
        return resigned(people, terms, sender, lie)

    cell, terms, _ = run(5, number=seed // 5, seed=seed, tamper=tamper)
    assert {fault.culprit for _, fault in cell.faults} <= {terms.cell[liar]}
    assert len(cell.outcomes) == 5
    assert max(cell.closed_at.values()) <= 4 * DEADLINE_S + 1


def test_two_keys_for_two_members_make_one_of_them_absent():
    people = identities(5)
    terms = terms_of(people)
    third = next(i for i, peer in enumerate(terms.cell) if peer not in (terms.keeper, terms.relay))

    def tamper(sender, receiver, message):
        """The member is told another key, and so names another."""
        return replace_key(message) if sender == third and isinstance(message, Ciphertext) else message

    def replace_key(message):
        return resigned(people, terms, third, replace(message, key=bytes(32)))

    cell, terms, rows = run(5, tamper=tamper)
    assert not cell.faults
    check(cell, terms, rows)
    assert all(terms.cell[third] not in outcome.accepted for outcome in cell.outcomes.values())


def test_a_relay_that_adds_nonsense_is_not_noticed():
    """The bound of this mode, kept here so that nobody believes otherwise."""
    people = identities(4)
    terms = terms_of(people)

    def tamper(sender, receiver, message):
        if isinstance(message, Total):
            body = (np.frombuffer(message.body) + 1).tobytes()
            return resigned(people, terms, sender, replace(message, body=body))
        return message

    cell, terms, rows = run(4, tamper=tamper)
    assert not cell.faults
    for outcome in cell.outcomes.values():
        assert np.allclose(outcome.mean, expected(terms, rows, outcome.accepted) + 1)


# -- the machine alone -------------------------------------------------------------------------------------------------


def alone(role, absent=None):
    people = identities(4)
    terms = terms_of(people)
    peer = {"keeper": terms.keeper, "relay": terms.relay}.get(role)
    if peer is None:
        peer = next(p for p in terms.cell if p not in (terms.keeper, terms.relay))
    one = next(one for one in people if one.peer_id == peer)
    absent = {"keeper": [terms.keeper], "relay": [terms.relay]}.get(absent, [])
    return EncryptedRound(peer, terms, np.ones(SIZE, np.float32), signer(one), absent), terms


@pytest.mark.parametrize("role", ["keeper", "relay", "third"])
def test_time_alone_ends_a_round(role):
    machine, _ = alone(role)
    effects, now = machine.start(100.0), 100.0
    for _ in range(9):
        wake = [effect.time for effect in effects if isinstance(effect, WakeAt)]
        if not wake:
            break
        assert wake[-1] > now
        now = wake[-1]
        effects = machine.receive(Tick(), now)
    assert machine.outcome.void
    assert now <= 100 + 4 * DEADLINE_S
    assert not machine.outcome.exposed
    assert machine.receive(Tick(), now + 1) == []


def test_exposed_says_whether_anything_left_the_node():
    cell, terms, _ = run(4)
    assert all(outcome.exposed for outcome in cell.outcomes.values())
    gone = terms.cell.index(terms.keeper)
    cell, *_ = run(4, weather=Weather(crashes={gone: 0.0}))
    assert not any(outcome.exposed for outcome in cell.outcomes.values())
    relay = terms.cell.index(terms.relay)
    cell, *_ = run(4, weather=Weather(crashes={relay: 0.0}))
    assert not cell.outcomes[gone].exposed  # the keeper; of the others the relay may have had a ciphertext


def test_the_secret_key_ends_with_the_round():
    machine, terms = alone("keeper")
    (compute, *_) = machine.start(0.0)
    assert isinstance(compute, Compute)
    sends = machine.receive(Computed(compute.ticket, compute.job.run()), 1.0)
    assert len([effect for effect in sends if isinstance(effect, Send)]) == 3
    machine.receive(Down(terms.relay), 2.0)
    assert machine.outcome is None  # it may come back in time
    machine.receive(Tick(), 3 * DEADLINE_S)
    assert machine.outcome.void
    assert machine._pair is None
    assert "secret" not in repr(compute.job.run())


def test_strangers_and_other_rounds_are_ignored():
    machine, terms = alone("third")
    machine.start(0.0)
    key = RoundKey(0, bytes(64), b"public")
    assert machine.receive(Heard("stranger", key), 1.0) == []
    assert machine.receive(Heard(terms.relay, key), 1.0) == []
    assert machine.receive(Heard(terms.keeper, replace(key, round=1)), 1.0) == []
    with pytest.raises(RemoteFault):
        machine.receive(Heard(terms.keeper, key), 1.0)
    machine.receive(Tick(), 1.0)
    assert machine.outcome.void


@pytest.mark.parametrize(
    "bad",
    [
        {"least": 1}, {"least": 4}, {"size": 0}, {"deadline_s": 0.0}, {"deadline_s": float("nan")}, {"number": -1},
        {"scheme": Bfv(FixedPoint(1.0, 1.0, 3))},
    ],
)  # fmt: skip
def test_terms_outside_a_bound_are_refused(bad):
    with pytest.raises(PlanError):
        terms_of(identities(4), **bad)


def test_two_members_have_nothing_to_hide_from_each_other():
    with pytest.raises(PlanError, match="a third"):
        terms_of(identities(2))


def test_a_vector_that_cannot_be_carried_is_refused_at_once():
    people = identities(3)
    terms = terms_of(people, scheme=Ckks())
    for bad in (np.full(SIZE, 65, np.float32), np.full(SIZE, np.nan, np.float32), np.zeros(SIZE + 1, np.float32)):
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            EncryptedRound(terms.cell[0], terms, bad, signer(people[0]))


def test_counted_bits_survive():
    cell = terms_of(identities(11)).cell
    for some in ((), cell[:3], cell[7:], cell):
        assert unpack_counted(cell, pack_counted(cell, some)) == some
    assert unpack_counted(cell, (1 << 11).to_bytes(32, "little")) is None
    assert unpack_counted(cell, b"") is None
