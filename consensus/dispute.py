"""Who is convicted by what: complaints about boxes, scalars that are off, and how publishing a box settles either.

Everything here is a function of what all members agreed on, so all come to the same end.

- **A box did not come.** Who of dealer and holder is to blame cannot be told. The dealer publishes the sealed boxes:
  that costs no secret, and the holder has no excuse any more. A dealer that does not is left out.
- **A box came and holds rubbish.** The dealer publishes the boxes and their key. A box that does not open, or opens to
  what no share looks like, convicts its dealer by itself. One that opens well leaves both as they were.
- **The scalars about a dealer fail a check, or are missing.** The dealer knows what it dealt, and publishes boxes and
  key for each holder that signed other scalars than those make, or none (`contradicts`), and for nobody else: whoever
  the decoding points to. Everybody computes the scalars that those holders should have published. Others than they
  signed: they are convicted, by their signatures and the boxes. If the checks hold with the right scalars the dealer is
  accepted. If not, or if a holder turns out to have told the truth, **the dealer is convicted by its own answer**.

That conviction does not hang on how many holders lie, nor on how many there are (`convict`). An honest dealer's answer
corrects every lie about it, so that its checks hold: they are of n ≥ max(t + ℓ, 2t + 1) + e right values then. What it
does hang on is that all see the same scalars and the same answer, so that there is one decision a stage: no more than
max(t, e) members lie. A dealer that gives no answer may be an absentee: it is left out. It is named, and not convicted,
where no e holders could have made it fail.

What is published is the share of a holder that lied, which the colluders had already, or that has none. Where the
dealer lies it is its own affair. An honest pair never publishes a share, whatever t members do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from consensus.conviction import Certainty
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
    named: dict[int, tuple[str, Certainty]] = field(default_factory=dict)
    """Culprits: the reason, and how sure it is."""
    supplied: dict[tuple[int, int], tuple[Entry, Box]] = field(default_factory=dict)
    """(dealer, holder) → what was published."""
    opened: dict[tuple[int, int], Dealt] = field(default_factory=dict)
    """The same, where the key was published too."""

    def leave_out(
        self, dealer: int, reason: str, certainty: Certainty = Certainty.SUSPECTED, *, named: bool = True
    ) -> None:
        """Leave a dealer out."""
        self.out.add(dealer)
        if named:
            self.convict(dealer, reason, certainty)

    def convict(self, member: int, reason: str, certainty: Certainty) -> None:
        """Name a culprit."""
        if member not in self.named or certainty > self.named[member][1]:
            self.named[member] = reason, certainty


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


def answers(
    terms: PrivateTerms, dealers: Collection[int], published: Mapping[int, Mapping[int, Entry]], committed: Committed
) -> Settled:
    """Open what `dealers` published of holders whose scalars they dispute. What is no answer convicts."""
    settled = Settled()
    for dealer in sorted(dealers & published.keys()):
        for holder, entry in sorted(published[dealer].items()):
            box = settles(terms, dealer, entry, committed.leaves[dealer], committed.digests[dealer])
            if box is None or entry.key is None:
                settled.leave_out(dealer, "publishes boxes that it did not commit to", Certainty.WITNESSED)
            else:
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
        settled.leave_out(dealer, f"dealt {terms.cell[holder]} a box that is none: {error}", Certainty.PROVED)
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
    """Dealers that are to answer, and whose scalars about them are off or missing, as far as that can be told."""
    failed: dict[int, tuple[str, bool]] = field(default_factory=dict)
    """Of those, who fails a check as it is: why, and whether no e holders could have made it fail."""
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
        if dealer in silent:
            judgement.settled.leave_out(dealer, "its scalars about itself are missing")
        elif not finding.accepted or finding.liars or silent:
            judgement.docket[dealer] = dict.fromkeys(finding.liars | silent, True)
            if not finding.accepted:
                judgement.failed[dealer] = f"its update fails check {finding.failed}", certain
        else:
            judgement.accepted.add(dealer)
    return judgement


def convict(
    terms: PrivateTerms,
    judgement: Judgement,
    answered: Collection[int],
    settled: Settled,
    checker: Checker,
    published: Mapping[int, Mapping[int, Scalars]],
) -> set[int]:
    """The dealers of the docket that are accepted after all; who is convicted is added to `settled`, which holds what
    those that `answered` opened.

    A dealer that answered is accepted if it is honest: it publishes the box of each holder whose scalars about it are
    not what it dealt, and of no other. So one that is not accepted lied, whatever the holders are.
    """
    right = {holder: dict(about) for holder, about in published.items()}
    for (dealer, holder), dealt in sorted(settled.opened.items()):
        if holder not in right:
            continue
        computed = scalars_about(checker, {dealer: dealt})[dealer]
        signed = right[holder].get(dealer)
        if signed is not None and _same(signed, computed):
            reason = f"the share that it dealt {terms.cell[holder]} is on no codeword"
            settled.leave_out(dealer, reason, Certainty.WITNESSED)
        elif signed is not None:
            settled.convict(holder, f"signed wrong scalars about {terms.cell[dealer]}", Certainty.PROVED)
        right[holder][dealer] = computed
    for dealer in judgement.docket.keys() - set(answered):
        reason, certain = judgement.failed.get(dealer, ("", False))
        settled.leave_out(dealer, reason, named=certain)
    again = examine(terms, right, judgement.docket.keys() - settled.out)
    for dealer in again.docket.keys() | again.settled.out:
        reason, _ = again.failed.get(dealer, ("its shares are on no codeword", True))
        settled.leave_out(dealer, f"{reason}, and it disputes nobody else's scalars", Certainty.WITNESSED)
    return again.accepted


def proof_of(culprit: int, *bundles: Mapping[int, Item]) -> tuple[Item, ...]:
    """The signed items of a culprit: with the coins of the round they show what it did."""
    return tuple(bundle[culprit] for bundle in bundles if culprit in bundle)
