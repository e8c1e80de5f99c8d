"""Who is convicted by what: complaints about boxes, scalars that are off, and how publishing a box settles either.

Everything here is a function of what all members agreed on, so all come to the same end.

- **A box did not come.** Who of dealer and holder is to blame cannot be told. The dealer publishes the sealed boxes:
  that costs no secret, and the holder has no excuse any more. A dealer that does not is left out.
- **A box came and holds rubbish.** The dealer publishes the boxes and their key. A box that does not open, or opens to
  what no share looks like, convicts its dealer by itself. One that opens well leaves both as they were.
- **A holder's scalars are on no codeword, or it has none.** The dealer publishes boxes and key. Everybody computes the
  scalars that the holder should have published. Others than it signed: the holder is convicted, by its signature and
  the box, and the dealer stays with the right scalars. The same: the holder told the truth, so the dealer dealt shares
  that are on no codeword; it is left out, and named on the assumption that no more than e holders lie.

What is published is the share of one holder. Where the dealer lies that is its own affair; where the holder lies, the
colluders had that share already. More than e liars, and absentees, can make the scalars of an honest holder look wrong
(n values, of which n − e − t honest ones leave a polynomial of degree δ open): so a dealer publishes nothing where the
holder signed just what its box makes it sign, and gives up its place in the sum instead (`contradicts`). An honest pair
never publishes a share, whatever t members do. That dealer is named, on the same assumption: with e liars or fewer no
honest one comes there. A dealer that says nothing at all may be an absentee: it is left out, and not named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from consensus.private_boxes import Box, Malformed, open_share_box
from consensus.private_holder import Status, scalars_about
from consensus.private_messages import Item
from consensus.private_supply import Dealt, Entry, open_proof_box, settles
from consensus.private_terms import PrivateTerms
from crypto.commitment import Leaf
from crypto.norm_proof import Checker, Scalars, judge
from crypto.sealing import SealingError

Docket = dict[int, dict[int, bool]]
"""dealer → holder → whether the key is wanted too"""


@dataclass(frozen=True, slots=True)
class Committed:
    """What dealers are bound to."""

    leaves: Mapping[int, Sequence[Leaf]]
    digests: Mapping[int, Sequence[bytes]]


@dataclass(slots=True)
class Settled:
    """What came of a docket, or of a judgement."""

    out: set[int] = field(default_factory=set)
    """Dealers that are left out."""
    named: dict[int, tuple[str, bool]] = field(default_factory=dict)
    """Culprits: the reason, and whether it is proved whoever else lies."""
    supplied: dict[tuple[int, int], tuple[Entry, Box]] = field(default_factory=dict)
    """(dealer, holder) → what was published."""
    opened: dict[tuple[int, int], Dealt] = field(default_factory=dict)
    """The same, where the key was published too."""

    def leave_out(self, dealer: int, reason: str, *, proved: bool = False, named: bool = True) -> None:
        """Leave a dealer out."""
        self.out.add(dealer)
        if named:
            self.named.setdefault(dealer, (reason, proved))


def complaints(
    terms: PrivateTerms, statuses: Mapping[int, bytes], dealers: Collection[int]
) -> tuple[Docket, frozenset[int]]:
    """The docket of what holders say that they lack, and the holders that are not believed: who complains of more than
    e + f dealers complains of an honest one that is there, or has no links; it is taken for absent.
    """
    docket: Docket = {}
    dismissed = set()
    for holder, status in statuses.items():
        accused = [dealer for dealer in sorted(dealers) if dealer != holder and status[dealer] != Status.FINE]
        if len(accused) > terms.packing.liars + terms.packing.absentees:
            dismissed.add(holder)
            continue
        for dealer in accused:
            docket.setdefault(dealer, {})[holder] = status[dealer] == Status.UNUSABLE
    return docket, frozenset(dismissed)


def settle(
    terms: PrivateTerms, docket: Docket, published: Mapping[int, Mapping[int, Entry]], committed: Committed
) -> Settled:
    """Look at what dealers published for the docket."""
    settled = Settled()
    for dealer, wanted in sorted(docket.items()):
        entries = published.get(dealer, {})
        answered = dealer in published  # who has said nothing may have gone: left out, and not named
        for holder, reveal in sorted(wanted.items()):
            entry = entries.get(holder)
            box = None
            if entry is not None and (entry.key is not None or not reveal):
                leaves, digests = committed.leaves[dealer], committed.digests[dealer]
                box = settles(terms, dealer, entry, leaves, digests)
            if entry is None or box is None:
                reason = f"does not answer the complaint of {terms.cell[holder]}"
                settled.leave_out(dealer, reason, named=answered)
                continue
            settled.supplied[dealer, holder] = entry, box
            if reveal and entry.key is not None:
                _reveal(terms, settled, dealer, holder, entry, box)
    return settled


def _reveal(terms: PrivateTerms, settled: Settled, dealer: int, holder: int, entry: Entry, box: Box) -> None:
    if entry.key is None:
        return
    try:
        share, masks = open_share_box(terms, dealer, holder, box, entry.key)
        bits = open_proof_box(terms, dealer, holder, entry.proof_box, entry.key)
    except SealingError:
        settled.leave_out(dealer, "publishes another key than it committed to")
    except Malformed as error:
        settled.leave_out(dealer, f"dealt {terms.cell[holder]} a box that is none: {error}", proved=True)
    else:
        settled.opened[dealer, holder] = Dealt(share, masks, bits)


def contradicts(settled: Settled, checker: Checker, published: Mapping[int, Mapping[int, Scalars]]) -> frozenset[int]:
    """The holders of opened boxes that signed other scalars than those boxes make, or none."""
    liars = set()
    for (dealer, holder), dealt in settled.opened.items():
        signed = published[holder].get(dealer)
        if signed is None or not _same(signed, scalars_about(checker, {dealer: dealt})[dealer]):
            liars.add(holder)
    return frozenset(liars)


def _same(one: Scalars, other: Scalars) -> bool:
    return bool((one.to_vector() == other.to_vector()).all())


@dataclass(slots=True)
class Judgement:
    """What the scalars say."""

    accepted: set[int] = field(default_factory=set)
    """Dealers whose proof holds, with nothing left to settle."""
    docket: Docket = field(default_factory=dict)
    settled: Settled = field(default_factory=Settled)


def examine(terms: PrivateTerms, published: Mapping[int, Mapping[int, Scalars]], dealers: Collection[int]) -> Judgement:
    """Judge each dealer by what holders published: holder → dealer → scalars."""
    judgement = Judgement()
    packing = terms.packing
    for dealer in sorted(dealers):
        said = {holder: about[dealer] for holder, about in published.items() if dealer in about}
        silent = published.keys() - said.keys()
        finding = judge(terms.proof, said)
        # With fewer values than this, honest dealers fail too where more is missing than may be.
        certain = len(said) >= max(packing.degree, 2 * packing.tolerated) + 1 + 2 * packing.liars
        if not finding.accepted:
            judgement.settled.leave_out(dealer, f"its update fails check {finding.failed}", named=certain)
        elif dealer in finding.liars | silent:
            judgement.settled.leave_out(dealer, "its scalars about itself are off, or missing")
        elif finding.liars or silent:
            judgement.docket[dealer] = dict.fromkeys(finding.liars | silent, True)
        else:
            judgement.accepted.add(dealer)
    return judgement


def convict(
    terms: PrivateTerms,
    docket: Docket,
    settled: Settled,
    checker: Checker,
    published: Mapping[int, Mapping[int, Scalars]],
) -> set[int]:
    """The dealers of the docket that are accepted after all; who is convicted is added to `settled`."""
    right = {holder: dict(about) for holder, about in published.items()}
    for dealer, holders in sorted(docket.items()):
        for holder in sorted(holders):
            if (dealer, holder) not in settled.opened:
                continue
            computed = scalars_about(checker, {dealer: settled.opened[dealer, holder]})[dealer]
            signed = right[holder].get(dealer)
            if signed is not None and _same(signed, computed):
                settled.leave_out(dealer, f"the share that it dealt {terms.cell[holder]} is on no codeword")
            elif signed is not None:
                settled.named.setdefault(holder, (f"signed wrong scalars about {terms.cell[dealer]}", True))
            right[holder][dealer] = computed
    again = examine(terms, right, docket.keys() - settled.out)
    for dealer in again.docket.keys() | again.settled.out:
        named = dealer in again.docket or dealer in again.settled.named
        settled.leave_out(dealer, "its shares are on no codeword", named=named)
    return again.accepted


def proof_of(culprit: int, *bundles: Mapping[int, Item]) -> tuple[Item, ...]:
    """The signed items of a culprit: with the coins of the round they show what it did."""
    return tuple(bundle[culprit] for bundle in bundles if culprit in bundle)
