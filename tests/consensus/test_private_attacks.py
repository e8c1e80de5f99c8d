"""Attacks on a private round by t who pool what they hold, e who lie, and a network that delays whom they like: nobody
honest is named, no honest pair publishes a share, no sum is wrong, time and memory stay bounded."""

import hashlib
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from consensus.agreement import COMMITMENT, VOTE, Agreement
from consensus.effects import Heard, Send
from consensus.notary import Notary, value_of
from consensus.private_holder import pack_scalars, unpack_scalars
from consensus.private_messages import Bundle, Fetch, Held, Item, PortionKind, Role, Sealed, Stage
from consensus.private_outcome import Patience
from consensus.private_supply import unpack_entries
from consensus.quorum import Quorum
from crypto.field import PRIME
from crypto.shamir import Packing
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, Cell, keys, quick_sign, quick_verify, terms_of

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
    assert {entry.holder for entries in published for entry in entries.values()} == set(colluders)
    (accepted,) = run.check(but=(*colluders, absentee))
    assert accepted == (0, 1, 2, 3, 4, 5, 6), "it knows what it dealt, whatever the decoding says"
    for outcome in run.outcomes(but=(*colluders, absentee)):
        assert {culprit.peer: culprit.proved for culprit in outcome.culprits} == {
            run.terms.cell[colluder]: True for colluder in colluders
        }


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


# --- what is passed on, and kept ------------------------------------------------------------------------------------

M = 6
COUNTED = Quorum(M, 1, 2)


def notary(member):
    roster = tuple(one.peer_id for one, _ in keys(M))
    return Notary(roster, member, 3, b"c" * 32, quick_sign(keys(M)[member][0]), quick_verify)


def listening(named=None, *, leader=0):
    """The agreement of member 0, which holds the items of all."""
    agreement = Agreement(notary(0), Stage.PROVE, COUNTED, leader, lambda who, *_: (named or []).append(who))
    items = {author: notary(author).item(Stage.PROVE, bytes([author])) for author in range(M)}
    agreement.enter(0.0, items[0], deadline_s=5.0, expected=range(M), least=3, check=lambda *_: None)
    for author in range(1, M):
        agreement.hear_item(author, items[author])
    agreement.advance(0.0, ())
    return agreement, items


def votes_for(items, view, step):
    value = value_of(Stage.PROVE, items)
    return {a: notary(a).vote(Stage.PROVE, view, step, value).signature for a in range(1, M)}


def signed_items(out):
    """Every item that is sent, alone or in a bundle."""
    for _, message in out:
        if isinstance(message, Item):
            yield message
        elif isinstance(message, Bundle):
            yield from Held.unpack(message).items.values()


@pytest.mark.parametrize("role", list(Role))
def test_a_signature_that_a_liar_spoiled_is_passed_on_by_nobody(role):
    """Who knows the body of an item need not look at its signature again. It must not pass that one on: whoever does
    not know the item would take it for the liar.
    """
    agreement, items = listening(leader=M - 1 + 3)  # member 3 leads view 1
    spoiled = dict(items) | {4: replace(items[4], signature=bytes(64))}
    value, step = value_of(Stage.PROVE, items), COMMITMENT if role is Role.DECISION else VOTE
    held = Held(spoiled, 0, value, votes_for(items, 0, step))
    agreement.advance(11.0, ())  # into view 1
    agreement._asked[value] = {0}
    agreement.hear_bundle(3, Bundle(3, Stage.PROVE, 1, role, held.pack()))
    sent = agreement.advance(11.0, ()) + agreement.answer(5)
    if role is not Role.DECISION:
        for author in range(1, M):
            agreement.hear_vote(author, notary(author).vote(Stage.PROVE, 1, VOTE, value))
    sent += agreement.advance(12.0, ()) + agreement.answer(5)
    for author in range(1, M):
        agreement.hear_vote(author, notary(author).vote(Stage.PROVE, 1, COMMITMENT, value))
    sent += agreement.advance(13.0, ()) + agreement.answer(5)
    assert agreement.decided is not None
    assert all(notary(0).wrote(item) for item in signed_items(sent))
    assert all(notary(0).wrote(item) for item in agreement.decided.values())
    assert Role.DECISION in {message.role for _, message in sent if isinstance(message, Bundle)}


def kept_bytes(thing, seen=None):
    """The bytes of all buffers that `thing` holds on to."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type) or callable(thing):
        return 0
    seen.add(id(thing))
    if isinstance(thing, bytes | bytearray):
        return len(thing)
    if isinstance(thing, memoryview):
        return kept_bytes(thing.obj, seen)
    if isinstance(thing, np.ndarray):
        return thing.nbytes if thing.base is None else kept_bytes(thing.base, seen)
    if isinstance(thing, dict):
        return sum(kept_bytes(one, seen) for pair in thing.items() for one in pair)
    if isinstance(thing, list | tuple | set | frozenset):
        return sum(kept_bytes(one, seen) for one in thing)
    names = [*getattr(thing, "__dict__", ()), *(n for c in type(thing).__mro__ for n in getattr(c, "__slots__", ()))]
    return sum(kept_bytes(getattr(thing, name, None), seen) for name in names)


@pytest.mark.parametrize("started", [False, True])
def test_a_flood_of_large_messages_is_not_kept(started):
    """Of one liar, whatever it sends before or after the start, in its own name and well signed."""
    run = Cell(terms_of(SIX))
    victim, liar = run.members[0].round, run.members[2].round
    if started:
        victim.start(0.0)
    large, before = 1 << 20, kept_bytes(victim)
    speaker, peer = liar._notary, run.terms.cell[2]

    def flood():
        for stage in range(9):
            yield Sealed(3, stage, bytes(large))
            yield speaker.item(Stage(stage), bytes(large))
            for view in range(24):
                items = {2: speaker.item(Stage(stage), bytes([view]) * large)}
                for role in Role:
                    yield Bundle(3, stage, view, role, Held(items).pack())
                    yield Bundle(3, stage, view, role, bytes(large))
        for owner in range(6):
            for kind in PortionKind:
                for _ in range(3):
                    yield speaker.portion(owner, kind, bytes(large))

    for message in flood():
        victim.receive(Heard(peer, message), 0.0)
    assert kept_bytes(victim) - before < 2 * large


def test_a_flood_of_small_messages_is_not_kept():
    run = Cell(terms_of(SIX))
    victim, liar = run.members[0].round, run.members[2].round
    victim.start(0.0)
    before = kept_bytes(victim)
    for number in range(900):
        value = hashlib.sha256(number.to_bytes(4, "big")).digest()
        for message in (
            liar._notary.vote(number % 7, 12 - number, number % 2, value),
            Fetch(3, number % 9, number),
            liar._notary.portion(number % 6, number % 2, value),
            Bundle(3, number % 7, number, number % 4, Held({}).pack()),
        ):
            victim.receive(Heard(run.terms.cell[2], message), 0.0)
    assert kept_bytes(victim) - before < 50_000


def test_a_flood_of_questions_leaves_the_others_theirs():
    run = Cell(terms_of(SIX))
    victim, peers = run.members[0].round, run.terms.cell
    victim.start(0.0)
    for part in range(2_000):
        victim.receive(Heard(peers[2], Fetch(3, Stage.CHECK, part)), 0.0)
    answer = victim.receive(Heard(peers[1], Fetch(3, Stage.COMMIT, 0)), 0.0)
    assert any(isinstance(effect, Send) and isinstance(effect.message, Item) for effect in answer)


def test_a_flood_of_questions_about_boxes_is_answered_as_often_as_an_honest_holder_asks():
    run = Cell(terms_of(SIX))
    dealer, answered = run.members[0].round, 0
    dealer.start(0.0)
    for stage, part, _ in product(Stage, (1, 3), range(2 * Patience.ANSWERS)):
        answered += len(sealed_in(dealer.receive(Heard(run.terms.cell[2], Fetch(3, stage, part)), 0.0)))
    assert answered == 2 * Patience.ANSWERS


def sealed_in(effects):
    return [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Sealed)]


def test_a_bundle_of_more_authors_than_there_are_members_is_read_at_once():
    signatures = dict.fromkeys(range(20_000), bytes(64))
    body = Held({}, signatures=signatures).pack()
    began = time.process_time()
    assert Held.unpack(Bundle(3, Stage.SUPPLY, 0, Role.NEW_VIEW, body)).signatures == signatures
    assert time.process_time() - began < 2, "all others were looked at for each: that takes half a minute"
