"""How the columns of a sum are cut into runs, one an owner, and what is said about a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from consensus.conviction import Certainty
from consensus.private_messages import NIL, SIGNATURE_BYTES, Body, BodyError, Reader
from consensus.private_terms import PrivateTerms
from crypto.commitment import DIGEST_BYTES, digest
from crypto.field import FieldError, Vector, require_canonical
from crypto.randomness import Stream

COMBINATIONS = 4
"""Random combinations of a run: a wrong run passes with probability p⁻⁴."""
CHECK_BYTES = DIGEST_BYTES + SIGNATURE_BYTES + 4 * COMBINATIONS
OTHER_SUM = "sends a part of another sum than the one agreed on, or one that is not signed"
_WORD = np.dtype("<u4")


def other_sum(terms: PrivateTerms) -> Certainty:
    """How sure it is that who sends such a part lies. No honest member does where decisions are unique; but the weights
    of a screen come from floating point, which another kind of machine might round in another way.
    """
    return Certainty.WITNESSED if terms.screen is None else Certainty.SUSPECTED


@dataclass(frozen=True, slots=True, eq=False)
class RunCheck:
    """What a member says about a run that it was sent."""

    said: bytes
    """The digest of the run."""
    signature: bytes
    """The owner's, under that."""
    combinations: Vector
    """(COMBINATIONS,) of the same columns of the member's own share."""


class Runs:
    """The runs of one opening; `context` is that of its statements."""

    def __init__(self, terms: PrivateTerms, holders: Sequence[int], context: bytes) -> None:
        columns, count = terms.packing.columns(terms.size), len(holders)
        edges = pairwise(columns * i // count for i in range(count + 1))
        self.slices = {
            owner: slice(first, last) for owner, (first, last) in zip(holders, edges, strict=True) if first < last
        }
        """Columns by owner; who would own none is no owner."""
        self._context = context

    def words(self, body: Body, owner: int, rows: int) -> Vector | None:
        """Elements (rows · width,) of a run; None if they are not that."""
        run = self.slices[owner]
        return elements(body, rows * (run.stop - run.start))

    def weights(self, owner: int, said: bytes) -> Vector:
        """Coin 3: coefficients (COMBINATIONS, width) for the run of this digest."""
        run = self.slices[owner]
        coin = digest("grapevine coin 3 v1", self._context, owner, said)
        return Stream(coin, "combinations").elements(COMBINATIONS, run.stop - run.start)

    def unpack_checks(self, body: Body) -> dict[int, RunCheck]:
        """Checks by owner, of those runs that the member was sent. Raises BodyError."""
        reader, checks = Reader(body), {}
        for owner in self.slices:
            said, signature = bytes(reader.take(DIGEST_BYTES)), bytes(reader.take(SIGNATURE_BYTES))
            combinations = elements(reader.take(4 * COMBINATIONS), COMBINATIONS)
            if combinations is None:
                raise BodyError("combinations that are no elements of the field")
            if said != NIL:
                checks[owner] = RunCheck(said, signature, combinations)
        reader.end()
        return checks


def elements(body: Body, count: int) -> Vector | None:
    """Elements (count,) of the field; None if the body is not that."""
    if len(body) != 4 * count:
        return None
    words = np.frombuffer(body, _WORD).astype(np.uint32, copy=False)
    try:
        require_canonical(words, "part of the sum")
    except FieldError:
        return None
    return words
