"""Attacks on a private round by t who pool what they hold, e who lie, and a network that delays whom they like: nobody
honest is named, no honest pair publishes a share, no sum is wrong, time and memory stay bounded."""

from dataclasses import replace

import pytest

from consensus.private_holder import pack_scalars, unpack_scalars
from consensus.private_messages import Bundle, Held, Item, Role, Stage, Vote
from consensus.private_supply import unpack_entries
from crypto.field import PRIME
from crypto.shamir import Packing
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import DEADLINE_S, SIX, Cell, terms_of

EIGHT = Packing(8, 2, 3, 1, 1)


def overheard(run, kind):
    """All messages of a kind that are sent from now on: (sender, receiver, message)."""
    said, send = [], run.send

    def listening(sender, receiver, message):
        if isinstance(message, kind):
            said.append((sender, receiver, message))
        send(sender, receiver, message)

    run.send = listening
    return said


# --- who lies together --------------------------------------------------------------------------------------------


def through(points, at):
    """A polynomial that is zero at `points`, at one more point."""
    value = 1
    for point in points:
        value = value * (at - point) % PRIME
    return value


def conspiring(member, about, honest):
    """Moves its scalars about a dealer by a polynomial that is zero at `honest`: one honest holder is off then."""
    terms = member.round._terms

    def tamper(item, _):
        scalars = unpack_scalars(terms, item.body)
        moved = scalars[about].degree.copy()
        moved[0] = (int(moved[0]) + through([h + 1 for h in honest], member.index + 1)) % PRIME
        scalars[about] = replace(scalars[about], degree=moved)
        return liars._signed(member, Stage.SCALARS, pack_scalars(terms, scalars))

    return liars.own_items_too(member, Stage.SCALARS, tamper)


@pytest.mark.parametrize("victim", [3, 6])
def test_t_liars_do_not_bring_an_honest_dealer_to_publish_the_share_of_an_honest_holder(victim):
    """With one member absent, t = 2 > e = 1 liars and four honest members are on a codeword without the fifth."""
    dealer, colluders, absentee = 0, (2, 5), 7
    others = [h for h in range(8) if h not in (*colluders, absentee, victim)]
    run = Cell(terms_of(EIGHT))
    run.members[absentee].tamper = liars.silent_from(0)
    for index in colluders:
        run.members[index].tamper = conspiring(run.members[index], dealer, others)
    said = overheard(run, Item)
    run.run()
    published = [unpack_entries(item.body) for _, _, item in said if item.stage == Stage.DISPUTE]
    assert not any(entry.key for entries in published for entry in entries.values())
    (accepted,) = run.check(but=(*colluders, absentee))
    assert accepted == (1, 2, 3, 4, 5, 6)
    for outcome in run.outcomes(but=(*colluders, absentee)):
        assert {culprit.peer: culprit.proved for culprit in outcome.culprits} in ({}, {run.terms.cell[dealer]: False})


# --- who is named -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [Stage.NONCE_2, Stage.SUPPLY])
@pytest.mark.parametrize("status", [1, 2])
def test_a_complaint_about_who_has_gone_names_nobody(stage, status):
    liar, gone = 2, 4
    run = Cell(terms_of(SIX))
    run.members[liar].tamper = liars.complaining(run.members[liar], [gone], status)
    run.members[gone].tamper = liars.silent_from(stage)
    run.run()
    (accepted,) = run.check(but=(liar, gone))
    assert set(accepted) >= {0, 1, 3, 5}
    for named in run.named(but=(liar, gone)):
        assert named <= {liar}


def test_wrong_scalars_about_who_has_gone_name_the_liar_alone():
    liar, gone = 2, 4
    run = Cell(terms_of(SIX))
    run.members[liar].tamper = liars.lying_scalars(run.members[liar], [0, gone])
    run.members[gone].tamper = liars.silent_from(Stage.DISPUTE)
    run.run()
    (accepted,) = run.check(but=(liar, gone))
    assert set(accepted) >= {0, 1, 3, 5}
    assert run.named(but=(liar, gone)) == [{liar}] * 4


@pytest.mark.parametrize("role", [Role.DECISION, Role.PROPOSAL, Role.NEW_VIEW, Role.CONTENTS])
def test_signatures_that_a_liar_spoiled_are_passed_on_by_nobody(role):
    """Who knows the body of an item need not look at a second signature; it must not pass that one on either."""
    liar, blind = 2, 5
    run = Cell(terms_of(SIX))
    spoiled = []

    def tamper(message, receiver):
        if isinstance(message, Bundle) and message.stage == Stage.COMMIT and message.role == role:
            held = Held.unpack(message)
            items = {a: replace(i, signature=bytes(64)) if a == 0 else i for a, i in held.items.items()}
            spoiled.append(receiver)
            return replace(message, body=replace(held, items=items).pack())
        return message

    run.members[liar].tamper = tamper
    send = run.send

    def lossy(sender, receiver, message):
        """The blind one does not hear member 0, and nobody hears the blind one before view 1."""
        held_back = receiver == blind and sender == 0 and run.now < 4 * DEADLINE_S
        early = blind == sender and isinstance(message, Item | Vote) and run.now < 1.2 * DEADLINE_S
        if not held_back and not (early and message.stage == Stage.COMMIT):
            send(sender, receiver, message)

    run.send = lossy
    # all members ask the liar first: it decides with right votes and a spoiled item
    if role is Role.DECISION:
        poison = {}

        def decide():
            agreement = run.members[liar].round._agreements[Stage.COMMIT]
            proof = agreement._proof
            if proof is not None and not poison:
                poison[0] = True
                items = {a: replace(i, signature=bytes(64)) if a == 0 else i for a, i in proof.items.items()}
                bundle = Bundle(3, Stage.COMMIT, 0, Role.DECISION, replace(proof, items=items).pack())
                for other in (0, 1, 3, 4):
                    run.send(liar, other, bundle)

        for k in range(400):
            run.at(0.05 * k, decide)
    run.run()
    assert all(named <= {liar} for named in run.named(but=(liar,)))
    run.check(but=(liar,))
