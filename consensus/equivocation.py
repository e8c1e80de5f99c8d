"""Two statements that no honest member signs both: a lie that anybody can check, at any time.

An honest member signs one item a stage and round, and a node that has lost its state in a round never takes part in
that round again. So two signatures of one author under the digests of different bodies, in one stage of one round,
convict it whoever shows them. The context of that round follows from what all know; nothing that is signed elsewhere
with the same key fits it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from consensus.errors import PlanError
from consensus.notary import Verify, item_statement
from consensus.private_messages import SIGNATURE_BYTES, Body, BodyError, Item, Reader, Stage, Vote, digest_of
from consensus.private_terms import PrivateTerms
from crypto.commitment import DIGEST_BYTES

_HEAD = struct.Struct(">HBII")
PROOF_BYTES = _HEAD.size + 2 * (DIGEST_BYTES + SIGNATURE_BYTES)
NO_PROOF = bytes(PROOF_BYTES)
_ELSEWHERE = (Stage.CHECK, Stage.CERTIFY)
"""Stages whose statements are about a decision, and not about the terms alone."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """What `author`, by its place in the cell, signed in one stage of round `number`."""

    author: int
    stage: int
    number: int
    epoch: int
    said: tuple[tuple[bytes, bytes], tuple[bytes, bytes]]
    """Twice: the digest of a body, and the signature under it."""

    @classmethod
    def of(cls, said: Sequence[Item | Vote], terms: PrivateTerms) -> Equivocation | None:
        """The one that two items of one author show in the round of `terms`; None where they show none."""
        if len(said) != 2:
            return None
        one, other = said
        if isinstance(one, Vote) or isinstance(other, Vote):
            return None
        if (one.stage, one.author) != (other.stage, other.author) or one.stage in _ELSEWHERE:
            return None
        both = (digest_of(one.body), one.signature), (digest_of(other.body), other.signature)
        return cls(one.author, one.stage, terms.number, terms.epoch, both)

    def pack(self) -> bytes:
        """PROOF_BYTES."""
        (one, first), (other, second) = self.said
        return _HEAD.pack(self.author, self.stage, self.number, self.epoch) + one + first + other + second

    @classmethod
    def unpack(cls, body: Body) -> Equivocation:
        """Read what `pack` gave. Raises BodyError."""
        reader = Reader(body)
        author, stage, number, epoch = reader.numbers("HBII")
        said = [(bytes(reader.take(DIGEST_BYTES)), bytes(reader.take(SIGNATURE_BYTES))) for _ in range(2)]
        reader.end()
        return cls(author, stage, number, epoch, (said[0], said[1]))

    def holds(self, terms: PrivateTerms, verify: Verify) -> bool:
        """Whether it convicts its author, as a member of the cell of `terms`: no later than in that round."""
        (one, first), (other, second) = self.said
        known = self.stage in tuple(Stage) and self.stage not in _ELSEWHERE
        if one == other or not known or self.author >= len(terms.cell) or self.number > terms.number:
            return False
        try:
            context = replace(terms, number=self.number, epoch=self.epoch).context
        except PlanError:
            return False
        peer = terms.cell[self.author]
        statements = [item_statement(context, self.stage, self.author, said) for said in (one, other)]
        return verify(peer, statements[0], first) and verify(peer, statements[1], second)


def read(body: Body, terms: PrivateTerms, verify: Verify) -> Equivocation | None:
    """The equivocation in `body`, where there is one and it holds."""
    if bytes(body) == NO_PROOF:
        return None
    try:
        found = Equivocation.unpack(body)
    except BodyError:
        return None
    return found if found.holds(terms, verify) else None
