"""What t colluders hold after a private round of real state machines, and the most that its algebra yields.

Everything comes from messages that a colluder was sent, opened with the colluders' own keys, and from what the
colluders dealt themselves. No field of an honest member is read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consensus.private_boxes import BoxPlan, Incoming, open_share_box, unpack_box
from consensus.private_messages import Bundle, Held, Item, Portion, PortionKind, Sealed, Stage
from consensus.private_outcome import PrivateOutcome
from consensus.private_round import PrivateRound
from consensus.private_supply import unpack_entries
from consensus.private_terms import PrivateTerms
from crypto.field import PRIME, Signed, Vector, from_signed, lagrange, to_signed
from tests.consensus.private_cell import Cell, keys

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dealt:
    """What a member brings: a vector float32 (d,), and noise int32 (d,) in lattice units or None."""

    vector: npt.NDArray[np.float32]
    noise: Signed | None = None


@dataclass
class ShamirView:
    """What `colluders` hold of one round."""

    terms: PrivateTerms
    colluders: tuple[int, ...]
    heard: list[tuple[int, int, object]]
    """(sender, receiver, message) of all that colluders were sent."""
    outcome: PrivateOutcome
    """A colluder's."""
    own: Mapping[int, Signed]
    """What the colluders dealt, in lattice units (d,)."""

    @property
    def accepted(self) -> set[int]:
        """Whose updates the sum holds."""
        return {self.terms.cell.index(peer) for peer in self.outcome.accepted}

    def honest_sum(self) -> Integers:
        """The opened sum without what the colluders dealt, in lattice units (d,)."""
        assert self.outcome.mean is not None, self.outcome.void
        scale = self.terms.fixed.scale * len(self.accepted)
        total = np.rint(self.outcome.mean.astype(np.float64) * scale).astype(np.int64)
        return total - sum(self.own[member].astype(np.int64) for member in self.accepted & set(self.colluders))

    def shares(self, dealer: int) -> dict[int, Vector]:
        """Shares (G,) of a dealer's update, by holder: from boxes to colluders, and from boxes published with keys."""
        boxes: dict[int, Incoming] = {}
        for sender, receiver, message in self.heard:
            if isinstance(message, Sealed) and message.stage == Stage.COMMIT and sender == dealer:
                if receiver not in boxes:
                    key = keys(len(self.terms.cell))[receiver][1]
                    boxes[receiver] = Incoming(BoxPlan(self.terms, dealer, receiver), key)
                boxes[receiver].hear(message.block, message.body)
        opened = {holder: box.contents for holder, box in boxes.items() if box.complete}
        columns = self.terms.packing.columns(self.terms.size)
        found = {holder: contents[0][0:columns] for holder, contents in opened.items() if contents is not None}
        return found | self.published(dealer)

    def published(self, dealer: int) -> dict[int, Vector]:
        """Shares that a dispute made public, by holder."""
        found = {}
        for item in self.items(Stage.DISPUTE, Stage.SUPPLY):
            for holder, entry in unpack_entries(item.body).items() if item.author == dealer else ():
                if entry.key is not None:
                    box = unpack_box(BoxPlan(self.terms, dealer, holder), entry.share_box)
                    share, _ = open_share_box(self.terms, dealer, holder, box, entry.key)
                    found[holder] = share[0 : self.terms.packing.columns(self.terms.size)]
        return found

    def items(self, *stages: Stage) -> list[Item]:
        """Signed items of some stages, by themselves or in bundles."""
        found = []
        for _, _, message in self.heard:
            if isinstance(message, Item) and message.stage in stages:
                found.append(message)
            elif isinstance(message, Bundle) and message.stage in stages:
                found += Held.unpack(message).items.values()
        return found

    def openings(self) -> dict[tuple[int, int], set[bytes]]:
        """Shares of a sum that honest holders sent to colluders, by author and part: one each, or a sum too many."""
        found: dict[tuple[int, int], set[bytes]] = {}
        for _, _, message in self.heard:
            share = isinstance(message, Portion) and message.kind == PortionKind.SHARE
            if share and message.author not in self.colluders:
                found.setdefault((message.author, message.owner), set()).add(bytes(message.body))
        return found


def run(
    terms: PrivateTerms,
    brought: Mapping[int, Dealt],
    colluders: Collection[int],
    *,
    seed: int = 0,
    absent: Collection[int] = (),
    liars: Mapping[int, Callable[[object], object]] | None = None,
    crash: Mapping[int, Callable[[object], bool]] | None = None,
) -> ShamirView:
    """A round, and what `colluders` hold of it. `absent` never start, `liars` make their member's `tamper`, `crash`
    says of a message that the member dies before it.
    """

    def build(index: int, arguments: dict[str, object]) -> PrivateRound:
        mine = {"update": brought[index].vector, "noise": brought[index].noise}
        return PrivateRound(**{**arguments, **mine})

    cell = Cell(terms, seed=seed, build=build)
    for member in absent:
        cell.members[member].alive = False
    for member, liar in (liars or {}).items():
        cell.members[member].tamper = liar(cell.members[member])
    for member, dies in (crash or {}).items():
        cell.members[member].dead = dies
    heard: list[tuple[int, int, object]] = []
    send = cell.send

    def overheard(sender: int, receiver: int, message: object) -> None:
        if receiver in colluders:
            heard.append((sender, receiver, message))
        send(sender, receiver, message)

    cell.send = overheard
    cell.run()
    own = {member: cell.members[member].lattice for member in colluders}
    outcome = cell.members[min(set(colluders) - set(absent))].outcome
    return ShamirView(terms, tuple(sorted(colluders)), heard, outcome, own)


def residues(terms: PrivateTerms, shares: Mapping[int, Vector], guess: Signed) -> Integers:
    """How far `guess` (d,) is from what `shares` of one dealer say, in each column (G,), as centred residues.

    t + 1 shares satisfy one equation a column with its ℓ secrets: 0 where the guess is right. That is all there is: any
    t of them are independent of the secrets. With t or fewer the missing ones are taken for 0, which gives an attacker
    something to say, and nothing to know.
    """
    packing = terms.packing
    wanted = sorted(shares)[: packing.tolerated + 1]
    wanted += [holder for holder in range(packing.members) if holder not in wanted][
        : packing.tolerated + 1 - len(wanted)
    ]
    columns = packing.columns(terms.size)
    padded = np.zeros(packing.packed * columns, np.int32)
    padded[: guess.size] = guess
    secrets = from_signed(padded).reshape(packing.packed, columns).astype(object)
    nothing = np.zeros(columns, np.uint32)
    known = [shares.get(holder, nothing).astype(object) for holder in wanted]
    *first, last = wanted
    sources = packing.secret_points + tuple(packing.points[holder] for holder in first)
    (row,) = lagrange(sources, (packing.points[last],))
    told = sum(weight * value for weight, value in zip(row, [*secrets, *known[:-1]], strict=True))
    left = ((known[-1] - told) % PRIME).astype(np.uint32)
    return to_signed(left).astype(np.int64)
