"""Every kind of protocol liar, in a cell in memory: what all honest members make of it in the very round."""

from dataclasses import replace

import numpy as np
import pytest

from consensus.conviction import Certainty
from consensus.encrypted_sharing import EncryptedSharing
from consensus.private_dealer import PrivateDealer
from consensus.private_round import PrivateRound
from consensus.shamir_sharing import ShamirSharing
from crypto.field import PRIME
from crypto.shamir import Packing
from detect.peers.quarantine import Verdict
from detect.peers.watch import PeerWatch, WatchTerms
from node.lab.betrayal import BETRAYALS, betraying
from node.lab.lying import betraying_of, lying
from node.private_player import SEVERITY
from node.watch import Lookout
from overlay import topology_schema
from overlay.topology import parse_topology
from tests.consensus.private_cell import Cell, terms_of
from tests.overlay.files import document

EIGHT = Packing(8, 2, 3, 1, 1)
LIAR = 3
REST = tuple(index for index in range(8) if index != LIAR)
DEALERS = ("long-vector", "wrong-shares", "rubbish", "wrong-nonce")
"""Whose update is not in the sum: the lie is about it, or comes before it is fixed."""
PROVED = ("equivocation", "rubbish", "wrong-nonce", "wrong-scalars", "two-votes")
"""Whose own signatures show the lie to anybody. The others are evicted by what members of that round witness."""
KINDS = sorted(set(BETRAYALS) - {"silent"})


def round_with(kind, *, direct=True, absent=None):
    rows = 128 if kind == "long-vector" else 32  # how many tell a long vector from another
    terms = terms_of(EIGHT, rows=rows, direct_bytes=32 * 1024 if direct else 0)
    run = Cell(terms, build=lambda i, given: BETRAYALS[kind](**given) if i == LIAR else None)
    if absent is not None:
        run.members[absent].tamper = lambda *_: None
    return run.run()


def believed(run, member):
    """The verdict on the liar of an honest member whose runtime heard of the round's culprits, and on the others."""
    peers = [peer for peer in run.terms.cell if peer != run.terms.cell[member]]
    watch = PeerWatch(peers, WatchTerms())
    lookout = Lookout(watch, lambda: 100.0)
    outcome = run.members[member].outcome
    for culprit in outcome.culprits:
        lookout.fault(3, culprit.peer, culprit.reason, SEVERITY[culprit.certainty])
    for fact in lookout.take_faults():
        watch.accuse(fact, 100.0)
    watch.settle(100.0)
    verdicts = {run.index[peer]: watch.reputations.standing(peer).verdict for peer in peers}
    return verdicts.pop(LIAR), set(verdicts.values())


LATE = ("wrong-opening", "two-openings", "wrong-certificate")
"""These lie in the opening, which is another one for long sums."""


@pytest.mark.parametrize(
    ("kind", "direct"),
    [*((kind, True) for kind in KINDS), *((kind, False) for kind in LATE)],
)
def test_it_is_named_and_evicted_within_the_round_by_every_honest_member(kind, direct):
    run = round_with(kind, direct=direct)
    assert run.check(but=(LIAR,)) == {REST if kind in DEALERS else tuple(range(8))}
    assert [believed(run, member) for member in REST] == [(Verdict.EVICTED, {Verdict.TRUSTED})] * 7
    certainties = {culprit.certainty for o in run.outcomes(but=(LIAR,)) for culprit in o.culprits}
    assert certainties == {Certainty.PROVED if kind in PROVED else Certainty.WITNESSED}


ABSENT = 6


@pytest.mark.parametrize(
    ("kind", "direct"),
    [*((kind, True) for kind in KINDS), *((kind, False) for kind in LATE)],
)
def test_it_is_evicted_with_an_honest_member_absent_where_no_two_liars_could_have_made_it_up(kind, direct):
    """Of seven signed shares, one of which is off, two liars could be the other two: see `conviction.located`."""
    run = round_with(kind, direct=direct, absent=ABSENT)
    honest = tuple(member for member in REST if member != ABSENT)
    run.check(but=(LIAR, ABSENT))
    open_to_doubt = kind == "wrong-opening" and direct
    wanted = Verdict.QUARANTINED if open_to_doubt else Verdict.EVICTED
    assert [believed(run, member) for member in honest] == [(wanted, {Verdict.TRUSTED})] * 6


def test_a_dealer_of_one_wrong_share_disputes_nobody_and_is_convicted_by_that():
    """It knows that the holder said what it was dealt: an honest dealer would have shown that it did not."""

    class One(PrivateDealer):
        def _rows(self, block):
            rows = super()._rows(block)
            holder = next(holder for holder, plan in self._plans.items() if not plan.seeded)
            rows[holder][-1] = (int(rows[holder][-1]) + 1) % PRIME
            return rows

    class Dealing(PrivateRound):
        deals = One

    run = Cell(terms_of(EIGHT, rows=128), build=lambda i, given: Dealing(**given) if i == LIAR else None).run()
    assert run.check(but=(LIAR,)) == {REST}
    assert [believed(run, member) for member in REST] == [(Verdict.EVICTED, {Verdict.TRUSTED})] * 7


def test_who_falls_silent_may_have_crashed_and_is_left_out_and_not_blamed():
    run = round_with("silent")
    assert run.check(but=(LIAR,)) == {REST}
    assert [believed(run, member) for member in REST] == [(Verdict.TRUSTED, {Verdict.TRUSTED})] * 7


def test_a_vector_that_is_too_long_is_so_by_far_and_a_zero_one_is_made_long():
    for norm in (0.9, 0.0):
        run = Cell(terms_of(EIGHT, rows=128), norms={LIAR: norm}, build=lambda *_: None)
        given = run.members[LIAR].round
        dealer = BETRAYALS["long-vector"].deals(given._terms, LIAR, np.random.default_rng(1).bytes,
                                                update=np.full(60, norm / 60**0.5, np.float32))  # fmt: skip
        dealer.deal()
        length = np.linalg.norm(dealer.lattice.astype(float))
        assert length == pytest.approx(3 * given._terms.proof.honest_norm, rel=0.01)


def test_the_file_names_what_there_is():
    assert set(topology_schema.BETRAYALS) == set(BETRAYALS)
    text = document(4, graph='family = "complete"')
    told = 'name = "press-2"\nadversary = "protocol-liar:wrong-opening"'
    topology = parse_topology(text.replace('name = "press-2"', told), "x")
    assert lying(topology, "press-2") is None  # it is honest about what it learned
    assert betraying_of(topology, "press-1") is None
    sharing = ShamirSharing(8, 2, 3, 1, 1, clip=2.0)
    betrayed = betraying_of(topology, "press-2")(sharing)
    assert betrayed == replace(sharing, plays=BETRAYALS["wrong-opening"])
    assert sharing.plays is PrivateRound


def test_other_sharings_prove_nothing_and_stay_as_they_are():
    other = EncryptedSharing(8, 1, "bfv", clip=2.0)
    assert betraying("equivocation")(other) is other
