"""What a closed private round leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from consensus.conviction import Certainty, Proof
from consensus.messages import Vector
from consensus.private_messages import Fetch
from consensus.vault import Kept, Recalled
from crypto.identity import PeerId


@dataclass(frozen=True, slots=True)
class Culprit:
    """A member that did what no honest member does."""

    peer: PeerId
    reason: str
    certainty: Certainty = Certainty.SUSPECTED
    proof: Proof = ()
    """What the culprit signed that bears it out, where there is anything."""

    @property
    def proved(self) -> bool:
        """Whether it is shown by what the culprit signed: the shares of its updates may be opened (`recall`)."""
        return self.certainty is Certainty.PROVED


class Culprits:
    """Who was named so far, by member `me` of `cell`."""

    def __init__(self, cell: tuple[PeerId, ...], me: int) -> None:
        self._cell = cell
        self._me = me
        self._named: dict[int, Culprit] = {}

    def name(self, member: int, reason: str, proof: Proof = (), certainty: Certainty | None = None) -> None:
        """Name a culprit; what is more certain replaces what is less."""
        known = self._named.get(member)
        if certainty is None:
            certainty = Certainty.PROVED if proof else Certainty.SUSPECTED
        if member != self._me and (known is None or certainty > known.certainty):
            self._named[member] = Culprit(self._cell[member], reason, certainty, proof)

    @property
    def named(self) -> tuple[Culprit, ...]:
        """In the order of the roster."""
        return tuple(self._named[member] for member in sorted(self._named))


class Patience:
    """How often a member is sent the same thing again."""

    ANSWERS = 8

    def __init__(self, members: int) -> None:
        self._answered: dict[int, Counter[tuple[int, int]]] = {}
        self._most = 64 + members

    def lasts(self, peer: int, fetch: Fetch) -> bool:
        """Whether to answer; counts, for each peer apart: who asks too much takes nothing from the others."""
        answered, key = self._answered.setdefault(peer, Counter()), (fetch.stage, fetch.part)
        if key not in answered and len(answered) >= self._most:
            return False
        answered[key] += 1
        return answered[key] <= self.ANSWERS


@dataclass(frozen=True, slots=True, eq=False)
class PrivateOutcome:
    """The end of a private round."""

    number: int
    mean: Vector | None
    """float32 (d,), read-only: the mean of the accepted updates; None in a void round."""
    accepted: tuple[PeerId, ...]
    """Whose updates the mean is of; the same for all honest members that have one."""
    culprits: tuple[Culprit, ...]
    absent: tuple[PeerId, ...]
    """Members that were waited for in vain, or not waited for, at the end."""
    void: str | None
    """Why there is no mean."""
    exposed: bool
    """Whether our update may be in a sum that somebody opened. False only if that is certain."""
    certificate: tuple[tuple[PeerId, bytes], ...]
    """Signatures of members under the digest of the sum."""
    certified: bool
    """Whether those are of Q = ⌊(m + b) / 2⌋ + 1 members, b = max(t, e).

    Of Q signatures at least Q − b ≥ 1 are of honest members, which opened this sum themselves; no two sums of one round
    are both certified, for any two quorums share an honest member, which signs once. More than that, say m − e, cannot
    be waited for: with f absentees, m − e − f honest members are sure to sign. Q is at most that (`PrivateTerms`).
    """
    weights: tuple[int, ...] = ()
    """Of the accepted in the mean, where a screen weighed them; empty: all weigh the same."""
    convicts: Mapping[PeerId, bytes] = field(default_factory=dict)
    """Whose lie is proved, and the proof where others can check it; empty bytes where they cannot."""
    kept: Kept | None = None
    """Our shares of the accepted updates, where they are kept and there is a mean."""
    recalled: Recalled | None = None
    """What a convict brought to earlier rounds, where this one took it back."""
