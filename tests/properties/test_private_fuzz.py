"""A liar that changes bits and fields of whatever it sends: nothing raises, nobody else is named, no sum is wrong."""

import random
from dataclasses import fields, replace

import pytest

from consensus.effects import Heard, Tick
from consensus.private_messages import Bundle, Fetch, Item, Portion, Sealed, Stage, Vote
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
