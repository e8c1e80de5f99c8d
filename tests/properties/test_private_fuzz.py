"""A liar that changes bits and fields of whatever it sends, signed anew or not: nothing raises, nobody else is named,
no sum is wrong, nobody waits longer than the deadlines allow."""

import random
from dataclasses import fields, replace

import pytest

from consensus.effects import Heard, Tick
from consensus.notary import value_of
from consensus.private_messages import (
    NIL,
    Bundle,
    Fetch,
    Held,
    Item,
    Portion,
    Role,
    Sealed,
    Stage,
    Vote,
)
from tests.consensus.private_cell import SIX, Cell, terms_of

LIAR = 3


def mangler(seed, chance):
    rng = random.Random(seed)

    def body(old):
        changed = bytearray(old)
        match rng.randrange(4):
            case 0 if changed:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            case 1:
                del changed[rng.randrange(len(changed) + 1) :]
            case 2:
                changed += rng.randbytes(rng.randrange(1, 100))
            case _:
                changed = bytearray(rng.randbytes(rng.randrange(200)))
        return bytes(changed)

    def tamper(message, receiver):
        if rng.random() > chance:
            return message
        name = rng.choice([item.name for item in fields(message) if item.name != "round"])
        old = getattr(message, name)
        if isinstance(old, int):
            new = rng.randrange(9) if name == "stage" else rng.randrange(6)
        else:
            new = body(old)
            if name in ("signature", "value"):
                new = (new + bytes(64))[: len(old)]
        return [message, replace(message, **{name: new})] if rng.random() < 0.5 else replace(message, **{name: new})

    return tamper


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("chance", [0.05, 0.3, 1.0])
def test_whatever_a_liar_mangles(seed, chance):
    run = Cell(terms_of(SIX), seed=seed)
    run.members[LIAR].tamper = mangler(seed, chance)
    run.run()
    (accepted,) = run.check(but=(LIAR,))
    assert set(accepted) >= {0, 1, 2, 4, 5}
    assert all(outcome.mean is not None for outcome in run.outcomes(but=(LIAR,)))
    for named in run.named(but=(LIAR,)):
        assert named <= {LIAR}


def longest_s(terms):
    """Of a round, whatever anybody does: two deadlines a view in each of seven agreements, one for the boxes before the
    first and before the fourth, and the waves of the opening.
    """
    return terms.deadline_s * (7 * 2 * (terms.quorum.faulty + 2) + 2 + 5)


class Resigning:
    """Changes what a member says and signs that: bodies, votes, bundles taken apart and put together again."""

    def __init__(self, member, seed, chance):
        self.member, self.rng, self.chance = member, random.Random(seed), chance

    def __call__(self, message, receiver):
        if self.rng.random() > self.chance:
            return message
        changes = {Item: self.item, Vote: self.vote, Portion: self.portion, Bundle: self.bundle}
        return changes.get(type(message), self.fields)(message)

    def notary(self, message):
        opening = self.member.round._opening
        late = isinstance(message, Portion) or message.stage in (Stage.CHECK, Stage.CERTIFY)
        return opening._notary if late and opening is not None else self.member.round._notary

    def body(self, old):
        rng, changed = self.rng, bytearray(old)
        for _ in range(rng.choice([1, 1, 4])):
            if changed:
                changed[rng.randrange(len(changed))] = rng.choice([0, 1, 255, rng.randrange(256)])
        size = rng.choice([len(changed)] * 4 + [0, len(changed) // 2, len(changed) - 4, len(changed) + 4])
        return bytes((changed + bytes(8))[: max(0, size)])

    def item(self, message):
        if message.author != self.member.index:
            return message
        return self.notary(message).item(Stage(message.stage), self.body(message.body))

    def vote(self, message):
        rng = self.rng
        value = rng.choice([message.value, NIL, rng.randbytes(32)])
        return [message, self.notary(message).vote(message.stage, rng.randrange(4), rng.randrange(2), value)]

    def portion(self, message):
        rng = self.rng
        return self.notary(message).portion(rng.randrange(6), rng.randrange(2), self.body(message.body))

    def bundle(self, message):
        rng, held = self.rng, Held.unpack(message)
        items = {author: item for author, item in held.items.items() if rng.random() < 0.8}
        signatures = dict(held.signatures)
        if items and rng.random() < 0.5:
            some = rng.choice(list(items.values()))
            items[self.member.index] = self.notary(message).item(Stage(message.stage), self.body(some.body))
        if signatures and rng.random() < 0.5:
            signatures.pop(rng.choice(list(signatures)))
        lock = rng.choice([held.lock, -1, 0, 1, 2])
        value = rng.choice([held.value, value_of(message.stage, items), rng.randbytes(32)])
        packed = Held(items, lock, value, signatures, held.first).pack()
        return replace(message, role=rng.choice(list(Role)), body=packed)

    def fields(self, message):
        rng = self.rng
        if isinstance(message, Fetch):
            return replace(message, part=rng.randrange(6), stage=rng.randrange(9), block=rng.randrange(3))
        return replace(message, body=self.body(message.body), block=rng.choice([0, 0, 1]))


@pytest.mark.parametrize("seed", range(18))
@pytest.mark.parametrize("chance", [0.2, 0.7])
def test_whatever_a_liar_signs(seed, chance):
    liar = seed % 6
    run = Cell(terms_of(SIX), seed=seed)
    run.members[liar].tamper = Resigning(run.members[liar], seed, chance)
    run.run()
    (accepted,) = run.check(but=(liar,))
    assert set(accepted) >= set(range(6)) - {liar}
    for index, outcome in enumerate(run.outcomes()):
        if index != liar:
            assert outcome.mean is not None
            assert {culprit.peer for culprit in outcome.culprits} <= {run.terms.cell[liar]}
    assert max(member.closed_at for member in run.members if member.index != liar) < longest_s(run.terms)


@pytest.mark.parametrize("seed", range(12))
def test_a_liar_that_signs_anything_in_a_storm_names_nobody_and_gives_no_wrong_sum(seed):
    """The network delays and loses as it likes: rounds may be void, and end in time."""
    liar = seed % 6
    run = Cell(terms_of(SIX), seed=seed, loss=0.3, repeat=0.3, reorder=True, latency_s=12.0)
    run.members[liar].tamper = Resigning(run.members[liar], seed, 0.5)
    run.run(20_000)
    run.check(but=(liar,))
    assert all(named <= {liar} for named in run.named(but=(liar,)))
    assert max(member.closed_at for member in run.members if member.index != liar) < longest_s(run.terms)


@pytest.mark.parametrize("seed", range(20))
def test_random_messages_at_random_times_raise_nothing(seed):
    rng = random.Random(seed)
    run = Cell(terms_of(SIX), seed=seed)
    round_, peers = run.members[0].round, run.terms.cell

    def any_message():
        stage, author, text = rng.randrange(-1, 10), rng.randrange(-1, 7), rng.randbytes(rng.randrange(300))
        sign = rng.randbytes(64)
        return rng.choice(
            [
                Sealed(3, stage, text),
                Item(3, stage, author, sign, text),
                Vote(3, stage, rng.randrange(20), rng.randrange(3), rng.randbytes(32), sign),
                Bundle(3, stage, rng.randrange(20), rng.randrange(5), text),
                Fetch(3, stage, author + 1),
                Portion(3, author + 1, rng.randrange(7), rng.randrange(3), sign, text),
            ]
        )

    round_.receive(Heard(peers[2], any_message()), 0.0)
    round_.start(0.0)
    for step in range(300):
        round_.receive(Heard(rng.choice(peers), any_message()), step * 0.3)
        round_.receive(Tick(), step * 0.3)
    assert round_.outcome is not None
    assert round_.outcome.void
    assert Stage.COMMIT == 0
