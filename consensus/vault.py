"""What a member keeps of closed private rounds, so that what a liar brought to them can be taken out again.

For W rounds a holder keeps its share of each accepted update. It opens those of a member whose lie is **proved** to it:
by what that member signed, never on suspicion and never at anybody's word. With the shares of the others all come to
the convict's own updates, and subtract from the base what they are in it (`amended`). Nothing else is opened: each
dealing has polynomials of its own.

What that costs: (m − t − 1) · ⌈d / ℓ⌉ words of memory a round, as t dealers send seeds; and whoever breaks into t + ℓ
members learns the updates of W rounds, instead of those of the round under way. All of it is in memory: a member that
was started again has nothing to open, and the rest may be too few.

What a round leaves in the base. With momentum μ the base moves by y' = y + μ v + mean, v' = y' − y. So after k rounds
an update that was the part p of a mean makes (1 + μ + … + μᵏ⁻¹) p of y and μᵏ⁻¹ p of v: k is all that is to be counted,
as long as every round went on from the base that the one before had made. Who took over another base has lost count,
and forgets (`emptied`). Where open phases follow a sum, what is subtracted in one cell has spread to the others by
then: the mean over all cells is right at once, as mixing keeps it, and the cells as soon as they have mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from consensus.base import Base
from consensus.messages import Vector
from crypto.identity import PeerId
from crypto.shamir import Share


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Shares of the updates that a round accepted."""

    number: int
    """Of the round."""
    shares: Mapping[PeerId, Share]
    """Ours of each other dealer's update, (G,)."""
    weights: Mapping[PeerId, int]
    """Of their updates in the sum."""
    whole: int
    """What all weights in the sum add up to."""
    steps: int = 1
    """k: rounds that moved the base since it was, the round itself included."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What a convict brought to one round."""

    number: int
    steps: int
    """As in `Kept`."""
    vector: Vector
    """float32 (d,): its part of that round's mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """A convict's updates, the same on all honest members of the cell."""

    peer: PeerId
    base: bytes
    """The digest of the base that they are in."""
    parts: tuple[Part, ...]
    """Empty where they could not be opened."""
    refused: str | None = None
    """Why they could not be."""


@dataclass(frozen=True, slots=True, eq=False)
class Vault:
    """One member's, between two rounds. `keep` is W; 0: nothing is kept."""

    keep: int = 0
    base: bytes = b""
    """The digest of the base that the rounds led to."""
    rounds: tuple[Kept, ...] = ()
    """The oldest first."""
    convicts: Mapping[PeerId, bytes] = field(default_factory=dict)
    """Whose lie is proved to us, and the proof where others can check it (`consensus.equivocation`)."""

    def owed(self, peer: PeerId) -> tuple[Kept, ...]:
        """The rounds in which an update of `peer` was accepted."""
        return tuple(kept for kept in self.rounds if peer in kept.shares)

    @property
    def accused(self) -> Mapping[PeerId, bytes]:
        """The convicts of whom there is something to take back, in order."""
        return {peer: proof for peer, proof in sorted(self.convicts.items()) if self.owed(peer)}

    def convict(self, peer: PeerId, proof: bytes) -> Vault:
        """The lie of `peer` is proved; a `proof` that others can check is kept beside one that they cannot."""
        if not self.keep:
            return self
        return replace(self, convicts={**self.convicts, peer: proof or self.convicts.get(peer, b"")})

    def closed(self, kept: Kept | None, base: bytes) -> Vault:
        """A round moved the base to that with the digest `base`, and left `kept`."""
        if not self.keep:
            return self
        before = [replace(one, steps=one.steps + 1) for one in self.rounds]
        rounds = (*before, kept)[-self.keep :] if kept is not None else tuple(before)
        return replace(self, base=base, rounds=tuple(one for one in rounds if one is not None))

    def settled(self, peer: PeerId) -> Vault:
        """What `peer` brought is taken back, and cannot be again. It stays a convict: what else is accepted of it will
        be taken back too.
        """
        return replace(self, rounds=tuple(_without(kept, peer) for kept in self.rounds))

    def emptied(self) -> Vault:
        """The chain of bases is broken: what was kept cannot be used any more."""
        return replace(self, rounds=(), base=b"")


def _without(kept: Kept, peer: PeerId) -> Kept:
    return replace(kept, shares={one: share for one, share in kept.shares.items() if one != peer})


def amended(base: Base, parts: Sequence[Part], momentum: float) -> Base:
    """`base` without `parts`, which are in it. In float64 and in order: the same on all who have the same."""
    moved = base.vector.astype("f8")
    speed = None if base.velocity is None else base.velocity.astype("f8")
    for part in parts:
        wide = part.vector.astype("f8")
        moved -= sum(momentum**step for step in range(part.steps)) * wide
        if speed is not None:
            speed -= momentum ** (part.steps - 1) * wide
    vector, velocity = moved.astype("f4"), None if speed is None else speed.astype("f4")
    vector.flags.writeable = False
    if velocity is not None:
        velocity.flags.writeable = False
    return Base(vector, base.opened, velocity)
