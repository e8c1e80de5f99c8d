"""What the members of a cell have agreed on before a private round begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from consensus.errors import PlanError
from consensus.quorum import Quorum
from consensus.screen import WHOLE, Screen
from crypto.commitment import digest
from crypto.fixedpoint import FixedPoint
from crypto.identity import PeerId
from crypto.norm_proof import ProofParameters
from crypto.sealing import BoxContext, Bulk
from crypto.shamir import Packing, PackingError

MAX_KEPT: Final = 64
"""Rounds that shares are kept of: all of them travel in one message where somebody is convicted."""


@dataclass(frozen=True)
class PrivateTerms:
    """The same on all members. Raises PlanError with the bound that does not hold."""

    cell: tuple[PeerId, ...]
    """The sorted roster: holder h sits at its place in it."""
    number: int
    """Of the round."""
    size: int
    """d: parameters of the model."""
    proof: ProofParameters
    """Packing, and what is proved of an update."""
    fixed: FixedPoint
    """How updates are written; `clip` · `scale` is at most 0.9 C."""
    channel_keys: Mapping[PeerId, bytes] = field(repr=False)
    """The public channel key of each member."""
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)
    epoch: int = 0
    beacon: bytes = bytes(32)
    """Public randomness of the round, not known when the swarm was set up."""
    deadline_s: float = 30.0
    """How long one wave may wait for members, and half of what one view of an agreement may take."""
    least_honest: int | None = None
    """h: the sum holds at least this many updates beside those of t colluders; None: m − t − f − e, but at least 1."""
    bulk: Bulk = Bulk.AES_256_GCM
    direct_bytes: int = 0
    """A share of the sum up to this long is told to all, instead of a run of it to each owner: more bytes in fewer
    waves."""
    screen: Screen | None = None
    """How updates are weighed by noised distances; `proof.blur` is their noise. None: all weigh the same."""
    keep_rounds: int = 0
    """W: rounds of which holders keep their shares, to take back what a convict brought (`consensus.vault`)."""

    def __post_init__(self) -> None:
        packing = self.packing
        m, t, e, f = packing.members, packing.tolerated, packing.liars, packing.absentees
        if len(self.cell) != m or list(self.cell) != sorted(set(self.cell)):
            raise PlanError(f"a cell is a sorted roster of m = {m} different members, got {len(self.cell)}")
        if not self.cell or set(self.channel_keys) < set(self.cell):
            raise PlanError("every member of a cell needs a published channel key")
        if not 0 <= self.keep_rounds <= MAX_KEPT:
            raise PlanError(f"0 <= keep_rounds <= {MAX_KEPT} is needed: {self.keep_rounds}")
        if self.number < 0 or self.size < 1 or not 0 < self.deadline_s < math.inf:
            raise PlanError(
                f"round >= 0, d >= 1 and a finite deadline > 0 are needed: "
                f"{self.number}, {self.size}, {self.deadline_s}"
            )
        if self.quorum.size > m - e - f:
            raise PlanError(
                f"m - e - f > (m + b) / 2 is needed, b = max(t, e), for the rest to agree: m={m}, t={t}, e={e}, f={f}"
            )
        if m - f - e < 2 * t + 1:
            raise PlanError(f"m - f - e >= 2t + 1 is needed for a check of silent liars: m={m}, f={f}, e={e}, t={t}")
        if self.fixed.members < m or self.fixed.clip * self.fixed.scale > self.proof.honest_norm:
            raise PlanError(
                f"clip * scale <= 0.9 C and room for m members are needed: {self.fixed.clip} * {self.fixed.scale}, "
                f"0.9 C = {self.proof.honest_norm}, room for {self.fixed.members} of {m}"
            )
        if self.least_accepted > m - f - e:
            raise PlanError(f"h + t <= m - f - e is needed: h={self.least_honest}, t={t}, m={m}, f={f}, e={e}")
        self._check_screen()

    def _check_screen(self) -> None:
        if (self.screen is None) != (self.proof.blur is None):
            raise PlanError("distances are opened where there is a screen, and with noise: give both or neither")
        if self.screen is None:
            return
        try:
            self.packing.require_quadratic_correction()
        except PackingError as error:
            raise PlanError(f"a screen opens distances, and {error}") from error
        self.screen.require_room(self.packing.members - self.packing.absentees)
        if self.fixed.members < self.whole_weight:
            raise PlanError(
                f"a weighted sum needs room for {self.whole_weight} encodings, there is for {self.fixed.members}"
            )

    @property
    def packing(self) -> Packing:
        """Who is trusted with what."""
        return self.proof.packing

    @cached_property
    def quorum(self) -> Quorum:
        """Of the agreements, and of the certificate: any two quorums share an honest member, whatever max(t, e)
        others do.
        """
        packing = self.packing
        bound = max(packing.tolerated, packing.liars)
        return Quorum(packing.members, bound, packing.liars + packing.absentees)

    @property
    def least_accepted(self) -> int:
        """h + t."""
        packing = self.packing
        honest = self.least_honest
        if honest is None:
            honest = max(1, packing.members - packing.tolerated - packing.absentees - packing.liars)
        return honest + packing.tolerated

    @property
    def whole_weight(self) -> int:
        """What the weights of a screen add up to."""
        return WHOLE // self.least_accepted * self.least_accepted

    @property
    def least_heard(self) -> int:
        """m − f − e: those who are neither absent nor silent liars."""
        return self.packing.members - self.packing.absentees - self.packing.liars

    @property
    def least_holders(self) -> int:
        """max(t + ℓ, 2t + 1) + e: with fewer a lie could pass unnoticed."""
        packing = self.packing
        return max(packing.degree, 2 * packing.tolerated) + 1 + packing.liars

    @property
    def direct(self) -> bool:
        """Whether the sum is opened by `DirectOpening`."""
        return 4 * self.packing.columns(self.size) <= self.direct_bytes

    @cached_property
    def context(self) -> bytes:
        """The digest (32 bytes) of all of this: every statement of the round is about it."""
        packing, proof, fixed = self.packing, self.proof, self.fixed
        return digest(
            "grapevine private round v1",
            self.swarm, self.layout, self.beacon, self.epoch, self.number, self.size,
            packing.members, packing.tolerated, packing.packed, packing.liars, packing.absentees,
            proof.clip, proof.rows, proof.bound_bits, proof.shift,
            fixed.scale.hex(), fixed.clip.hex(), fixed.members, fixed.noise,
            self.least_accepted, self.bulk.value, self.direct_bytes, *self._screened, *self._kept, *self.cell,
        )  # fmt: skip

    @property
    def _screened(self) -> tuple[str | int, ...]:
        if self.screen is None or self.proof.blur is None:
            return ()
        return "screen", self.screen.rule, self.screen.byzantine, self.proof.blur.reach

    @property
    def _kept(self) -> tuple[str | int, ...]:
        return ("keep", self.keep_rounds) if self.keep_rounds else ()

    def first_leader(self, stage: int) -> int:
        """Whose turn precedes that of the first leader of a stage."""
        return int.from_bytes(digest("grapevine leader v1", self.context, stage)[:8], "big") % len(self.cell)

    def seeded(self, dealer: int) -> tuple[int, ...]:
        """The holders that a dealer sends seeds to."""
        return self.packing.seeded(dealer, self.number)

    def box(self, dealer: int, holder: int, purpose: str) -> BoxContext:
        """What a box says about itself."""
        packing = self.packing
        return BoxContext(
            swarm=self.swarm, epoch=self.epoch, round=self.number,
            dealer=self.cell[dealer], holder=self.cell[holder],
            members=packing.members, tolerated=packing.tolerated, packed=packing.packed, prime=(1 << 31) - 1,
            size=self.size, layout=self.context, purpose=purpose,
        )  # fmt: skip
