"""What each mode gives away of an update without noise: a score for each of thousands of coordinates that are 0 or not.

The attacker knows the updates of all others, and of the victim all coordinates but the one in question.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from consensus.encrypted_terms import EncryptedTerms
from consensus.masked_terms import MaskedTerms
from consensus.messages import Vector
from crypto.ckks import Ckks
from crypto.fixedpoint import FixedPoint
from crypto.shamir import Packing
from tests.audit.games import Pair
from tests.audit.shamir_view import Dealt, ShamirView, residues, run
from tests.audit.statistics import Scores
from tests.audit.sum_views import SumView, ciphertexts, decrypted, encrypted, masked, stripped
from tests.consensus.private_cell import terms_of
from tests.consensus.secret_cell import identities

UNIT = 4.0 / 1024
"""What a coordinate is if it is not 0: whole lattice units of `FIXED`, so that rounding hides nothing."""
FIXED = FixedPoint(scale=1024.0, clip=2.0, members=16)
VICTIM = 2


class Updates:
    """Of `members`; that of the victim is UNIT or 0 in each coordinate, by coins."""

    def __init__(self, members: int, size: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0xC01])
        self.coins = rng.random(size) < 0.5
        steps = rng.integers(-3, 4, (members, size))
        steps[VICTIM] = self.coins * 4
        self.vectors: list[Vector] = [(row / 1024).astype(np.float32) for row in steps]

    def split(self, scores: Scores, where: npt.NDArray[np.intp] | None = None) -> Pair:
        """Scores of coordinates `where` (all if None), by coin."""
        coins = self.coins if where is None else self.coins[where]
        return scores[coins], scores[~coins]

    def but_the_victim(self, total: npt.NDArray[np.float64], colluders: Collection[int]) -> Scores:
        """What a sum of all but the colluders says of the victim."""
        known = [v for i, v in enumerate(self.vectors) if i != VICTIM and i not in colluders]
        scores: Scores = total - sum(vector.astype(np.float64) for vector in known)
        return scores


def plain(updates: Updates) -> Pair:
    """A neighbour's view: the vector itself."""
    return updates.split(updates.vectors[VICTIM].astype(np.float64))


def shamir(updates: Updates, packing: Packing, colluders: Collection[int], **others: object) -> ShamirView:
    """A private round without noise."""
    terms = replace(terms_of(packing, size=updates.coins.size), fixed=replace(FIXED, clip=3.0))
    return run(terms, {i: Dealt(v) for i, v in enumerate(updates.vectors)}, colluders, **others)  # type: ignore[arg-type]


def from_shares(updates: Updates, view: ShamirView, shares: Mapping[int, np.ndarray] | None = None) -> Pair:
    """What shares of the victim's update say beyond the sum: which of two guesses leaves less unexplained."""
    terms = view.terms
    shares = view.shares(VICTIM) if shares is None else shares
    columns, size = terms.packing.columns(terms.size), terms.size
    truth = np.rint(updates.vectors[VICTIM] * 1024).astype(np.int32)
    scores = np.zeros(size)
    for slot in range(terms.packing.packed):
        where = slice(slot * columns, min(size, (slot + 1) * columns))
        guesses = []
        for value in (4, 0):
            guess = truth.copy()
            guess[where] = value
            guesses.append(np.abs(residues(terms, shares, guess))[: where.stop - where.start])
        scores[where] = guesses[1] - guesses[0]
    return updates.split(scores)


def from_sum(updates: Updates, view: ShamirView) -> Pair:
    """What the opened sum says to who knows the rest of it."""
    return updates.split(updates.but_the_victim(view.honest_sum() / 1024, view.colluders))


def masks(updates: Updates, tolerated: int, colluders: Collection[int], *, dies: bool = False) -> tuple[Pair, SumView]:
    """Masked words less all masks that colluders know; the round's outcome is theirs too."""
    members = len(updates.vectors)
    cell = tuple(one.peer_id for one in identities(members))
    terms = MaskedTerms(cell, 0, updates.coins.size, FixedPoint(1024.0, 3.0, members), tolerated)
    view = masked(terms, updates.vectors, colluders, dies=VICTIM if dies else None)
    found = stripped(view, terms, VICTIM)
    roster = view.machines[view.colluders[0]]._roster
    edges = terms.edges(len(roster))
    where = np.concatenate([np.arange(*edges[fragment]) for fragment in found])
    words = np.concatenate([words.view(np.int32).astype(np.float64) for words in found.values()])
    return updates.split(words, where), view


def sum_of_masks(updates: Updates, view: SumView) -> Pair:
    """What the sum of a masked round says to who knows the rest of it."""
    cell = tuple(one.peer_id for one in identities(len(updates.vectors)))
    return updates.split(updates.but_the_victim(view.others(updates.vectors, cell), view.colluders))


def ckks(updates: Updates, colluders: Callable[[int, int], Collection[int]]) -> tuple[dict[str, Pair], EncryptedTerms]:
    """An encrypted round, seen by `colluders(keeper, relay)`: scores by what they come from."""
    members = len(updates.vectors)
    cell = tuple(one.peer_id for one in identities(members))
    number = next(
        n for n in range(members * members)
        if VICTIM not in (_role(cell, n, "keeper"), _role(cell, n, "relay"))
    )  # fmt: skip
    terms = EncryptedTerms(cell, number, updates.coins.size, Ckks())
    chosen = colluders(cell.index(terms.keeper), cell.index(terms.relay))
    view, pair = encrypted(terms, updates.vectors, chosen)
    scored = {"sum": updates.split(updates.but_the_victim(view.others(updates.vectors, cell), chosen))}
    if VICTIM in ciphertexts(view):
        key = (pair or Ckks().generate()).secret
        body = ciphertexts(view)[VICTIM]
        scored["ciphertext"] = updates.split(decrypted(body, key, terms.size, 1 / members))
    return scored, terms


def _role(cell: tuple[str, ...], number: int, role: str) -> int:
    terms = EncryptedTerms(cell, number, 1, Ckks())  # type: ignore[arg-type]
    return cell.index(getattr(terms, role))
