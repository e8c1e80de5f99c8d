"""A member is convicted by what it signed: all others take its updates out of the base alike; never on suspicion."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.equivocation import PROOF_BYTES, Equivocation
from consensus.notary import Notary
from consensus.private_holder import pack_scalars, unpack_scalars
from consensus.private_messages import Item, Stage
from consensus.recall import Recall
from crypto.shamir import Share
from tests.consensus.guarded_swarm import GuardedSwarm, one_cell, shamir
from tests.consensus.private_cell import quick_sign, quick_verify

LIAR = 2
REST = (0, 1, 3, 4, 5)
KEEP = 3


def swarm_of(momentum=0.0, keep=KEEP, **options):
    return GuardedSwarm(6, one_cell(6), shamir(keep_rounds=keep, **options), momentum=momentum)


def two_faced(swarm, number, stage=Stage.SCALARS):
    """In round `number` the liar signs two different items of a stage."""

    def lie(sender, receiver, message):
        mine = isinstance(message, Item) and message.stage == stage and message.author == LIAR == sender
        if mine and message.round == number and receiver % 2:
            body = bytearray(message.body)
            body[1] ^= 1
            return swarm.members[LIAR].rounds[number]._secret._notary.item(stage, bytes(body))
        return message

    swarm.lie = lie


def wrong_scalars(swarm, number):
    """In round `number` the liar signs wrong scalars about an honest dealer: which shows to those who were there."""

    def lie(sender, receiver, message):
        mine = isinstance(message, Item) and message.stage == Stage.SCALARS and message.author == LIAR == sender
        if mine and message.round == number:
            round_ = swarm.members[LIAR].rounds[number]._secret
            scalars = unpack_scalars(round_._terms, message.body)
            wrong = (scalars[0].degree + np.uint32(1)) % np.uint32((1 << 31) - 1)
            scalars[0] = replace(scalars[0], degree=wrong.astype(np.uint32))
            return round_._notary.item(Stage.SCALARS, pack_scalars(round_._terms, scalars))
        return message

    swarm.lie = lie


def play(swarm, rounds, before=lambda number: None):
    """Rounds, and what each member brought to each: `learned[round][member]`."""
    learned, accepted = [], []
    for number in rounds:
        before(number)
        swarm.play(number)
        learned.append(dict(swarm.learned))
        secret = swarm.members[0].rounds[number].secret
        accepted.append([swarm.place[peer] for peer in secret.accepted])
    return learned, accepted


def worked_out(learned, accepted, momentum, without=()):
    """The base after all rounds, had the liar brought nothing in the rounds `without`."""
    base, speed = np.zeros(6), np.zeros(6)
    for number, (steps, members) in enumerate(zip(learned, accepted, strict=True)):
        counted = [m for m in members if m != LIAR or number not in without]
        mean = np.sum([steps[m] for m in counted], axis=0) / len(members)
        speed = momentum * speed + mean
        base = base + speed
    return base


def honest_digests(swarm):
    return {swarm.members[place].base.digest for place in REST}


@pytest.mark.parametrize(("lie", "momentum"), [(two_faced, 0.7), (wrong_scalars, 0.0)])
def test_what_a_convict_brought_is_taken_out_of_the_base_by_all(lie, momentum):
    swarm = swarm_of(momentum)
    lie(swarm, 4)
    learned, accepted = play(swarm, range(6))
    assert len(honest_digests(swarm)) == 1
    recovered = [swarm.members[place].rounds[5].recovered for place in REST]
    taken = tuple(number for number in (2, 3, 4) if LIAR in accepted[number])
    assert {(one.peer, one.refused, tuple(part.number for part in one.parts)) for one in recovered} == {
        (swarm.order[LIAR], None, taken)
    }
    assert {2, 3} <= set(taken)
    assert LIAR not in accepted[5]  # who convicted it votes it out as well
    expected = worked_out(learned, accepted, momentum, without=taken)
    np.testing.assert_allclose(swarm.members[0].base.vector, expected, atol=2e-4)
    assert np.abs(expected - worked_out(learned, accepted, momentum)).max() > 0.05


def test_it_is_taken_out_once_and_rounds_go_on():
    swarm = swarm_of(0.5)
    wrong_scalars(swarm, 3)
    learned, accepted = play(swarm, range(8))
    assert [swarm.members[0].rounds[number].recovered is not None for number in range(8)] == [False] * 4 + [True] + [
        False
    ] * 3
    np.testing.assert_allclose(
        swarm.members[0].base.vector, worked_out(learned, accepted, 0.5, without=(1, 2, 3)), atol=3e-4
    )
    assert len(honest_digests(swarm)) == 1


def test_nothing_is_opened_on_suspicion():
    """Its update is refused round after round, unproved; and nobody opens a share."""
    swarm = swarm_of()
    play(swarm, range(2))
    swarm.members[LIAR].vault = swarm.members[LIAR].vault.convict(swarm.order[0], b"")  # at its own word
    play(swarm, range(2, 4))
    opened = [m for _, _, m in swarm.sent if isinstance(m, Item) and m.stage == Stage.RECALL]
    assert opened == []


def test_as_many_as_conspire_open_nothing_of_whom_nobody_honest_has_convicted():
    """Enough voices to make a round about somebody: honest members say nothing, and nothing comes of it."""
    swarm = swarm_of(tolerated=1, liars=1)
    play(swarm, range(2))
    for place in (LIAR, 3):
        swarm.members[place].vault = swarm.members[place].vault.convict(swarm.order[0], b"")
    play(swarm, range(2, 3))
    opened = {
        (m.author, bool(len(m.body))) for _, _, m in swarm.sent if isinstance(m, Item) and m.stage == Stage.RECALL
    }
    assert opened == {(1, False), (4, False), (5, False), (LIAR, True), (3, True)}
    assert {swarm.members[place].rounds[2].recovered.refused for place in REST} == {
        "2 members have shares of its updates, 4 are needed"
    }
    assert swarm.members[0].rounds[2].secret.mean is not None


def test_shares_that_a_second_liar_falsifies_are_corrected_and_it_is_named():
    swarm = swarm_of()
    wrong_scalars(swarm, 2)
    learned, accepted = play(swarm, range(3))
    first = swarm.lie

    def lie(sender, receiver, message):
        if isinstance(message, Item) and message.stage == Stage.RECALL and message.author == 4 == sender:
            body = bytearray(message.body)
            body[-3] ^= 1
            return swarm.members[4].rounds[3]._secret._notary.item(Stage.RECALL, bytes(body))
        return first(sender, receiver, message)

    swarm.lie = lie
    more, others = play(swarm, range(3, 4))
    honest = (0, 1, 3, 5)
    assert len({swarm.members[place].base.digest for place in honest}) == 1
    expected = worked_out(learned + more, accepted + others, 0.0, without=(0, 1, 2))
    np.testing.assert_allclose(swarm.members[0].base.vector, expected, atol=2e-4)
    for place in honest:
        assert swarm.order[4] in {one.peer for one in swarm.members[place].rounds[3].secret.culprits}


def test_with_too_few_that_still_have_shares_it_is_refused_by_all_alike():
    swarm = swarm_of()
    wrong_scalars(swarm, 2)
    learned, accepted = play(swarm, range(3))
    for place in (0, 1):  # started again: nothing of what is kept is on a disk
        swarm.members[place].vault = swarm.members[place].vault.emptied()
    more, others = play(swarm, range(3, 4))
    refused = {swarm.members[place].rounds[3].recovered.refused for place in REST}
    assert refused == {"3 members have shares of its updates, 4 are needed"}
    assert len(honest_digests(swarm)) == 1
    expected = worked_out(learned + more, accepted + others, 0.0)  # as if nothing had been asked
    np.testing.assert_allclose(swarm.members[0].base.vector, expected, atol=2e-4)


def test_one_liar_beside_the_convict_makes_up_no_updates_where_few_still_have_shares():
    """t = 2 conspire and e = 0 is what decoding counts with: t + ℓ = 3 shares are on a codeword whatever one of them
    says, and what is taken out of the base would be what the liar wants.
    """
    swarm = swarm_of(tolerated=2, packed=1, liars=0)
    two_faced(swarm, 2)
    play(swarm, range(3))
    before = swarm.members[0].base.vector
    for place in (4, 5):
        swarm.members[place].vault = swarm.members[place].vault.emptied()

    def lie(sender, receiver, message):
        if isinstance(message, Item) and message.stage == Stage.RECALL and message.author == 3 == sender:
            body = bytearray(message.body)
            body[-2] ^= 1
            return swarm.members[3].rounds[3]._secret._notary.item(Stage.RECALL, bytes(body))
        return message

    swarm.lie = lie
    play(swarm, range(3, 4))
    for place in (0, 1, 4, 5):
        assert swarm.members[place].rounds[3].recovered.refused == "3 members have shares of its updates, 5 are needed"
    assert np.abs(swarm.members[0].base.vector - before).max() < 2


def test_one_that_was_started_again_comes_to_the_same_base_from_what_the_others_opened():
    swarm = swarm_of(0.3)
    wrong_scalars(swarm, 2)
    play(swarm, range(3))
    swarm.members[5].vault = type(swarm.members[5].vault)(KEEP)
    play(swarm, range(3, 5))
    assert swarm.members[5].rounds[3].recovered.refused is None
    assert len(honest_digests(swarm)) == 1


def test_one_that_saw_nothing_of_an_equivocation_is_convinced_by_the_proof():
    swarm = swarm_of()
    two_faced(swarm, 2)
    play(swarm, range(3))
    vaults = [swarm.members[place].vault for place in REST]
    proofs = {vault.convicts[swarm.order[LIAR]] for vault in vaults}
    assert {len(proof) for proof in proofs} == {PROOF_BYTES}
    for place in REST[1:]:
        swarm.members[place].vault = replace(swarm.members[place].vault, convicts={})
    play(swarm, range(3, 4))
    assert {swarm.members[place].rounds[3].recovered.refused for place in REST} == {None}
    assert len(honest_digests(swarm)) == 1


def forged_by(swarm, place, terms):
    """What member `place` makes for its accomplices: that it signed two things in the first round."""
    first = replace(terms, number=0)
    notary = Notary(terms.cell, place, 0, first.context, quick_sign(swarm.pairs[place][0]), quick_verify)
    return Equivocation.of([notary.item(Stage.COMMIT, body) for body in (b"one", b"other")], first).pack()


def test_an_accomplice_that_convicts_itself_shields_nobody(monkeypatch):
    """It comes first in the roster, and the liar shows what it signed twice in every round."""
    swarm = swarm_of()
    two_faced(swarm, 4)
    plea = Recall.plea.fget

    def shielding(recall):
        mine, terms = plea(recall), recall._terms
        return mine[:-PROOF_BYTES] + forged_by(swarm, 0, terms) if recall._me == LIAR else mine

    monkeypatch.setattr(Recall, "plea", property(shielding))
    _, accepted = play(swarm, range(8))
    honest = (1, 3, 4, 5)
    for place in honest:
        taken = [swarm.members[place].rounds[number].recovered for number in range(8)]
        about = [(swarm.place[one.peer], part.number) for one in taken if one for part in one.parts]
        assert {(LIAR, 2), (LIAR, 3)} <= set(about)
    assert len({swarm.members[place].base.digest for place in honest}) == 1
    assert all(0 not in members for members in accepted[2:])  # whoever saw the proof shuns it
    longer = {m.round for _, _, m in swarm.sent if isinstance(m, Item) and m.stage == Stage.RECALL}
    assert longer == {1, 5}, "a proof of whom there is nothing to take back makes no round longer"


def test_who_takes_over_another_base_has_nothing_to_open_any_more():
    swarm = swarm_of()
    play(swarm, range(2))
    member = swarm.members[4]
    assert len(member.vault.rounds) == 2
    foreign = member.base.vector + np.float32(1)
    foreign.flags.writeable = False
    member.base = replace(member.base, vector=foreign)
    play(swarm, range(2, 3))
    assert [kept.number for kept in member.vault.rounds] == [2]


def test_a_vault_holds_so_many_rounds_and_none_where_none_are_to_be_kept():
    swarm = swarm_of()
    play(swarm, range(5))
    kept = swarm.members[0].vault.rounds
    assert [(one.number, one.steps) for one in kept] == [(2, 3), (3, 2), (4, 1)]
    shares: list[Share] = [share for one in kept for share in one.shares.values()]
    assert len(shares) == 3 * 5
    off = swarm_of(keep=0)
    play(off, range(2))
    assert off.members[0].vault.rounds == ()
