"""What a round is told and what it asks for: the vocabulary between a round's state machine and the loop around it.

Every kind of round speaks it. The loop performs effects in the order given, and knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from consensus.encrypted_messages import EncryptedMessage
from consensus.masked_messages import MaskedMessage
from consensus.meeting_messages import MeetingMessage
from consensus.messages import Contribution, Vector
from consensus.private_messages import PrivateMessage
from consensus.private_outcome import PrivateOutcome
from crypto.identity import PeerId

Letter = PrivateMessage | MeetingMessage | EncryptedMessage | MaskedMessage
"""What members of a cell say to each other about the secret phase of a round."""

RoundMessage = Contribution | Letter
"""What members of a committee say to each other."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer said something, about this round or another."""

    peer: PeerId
    message: RoundMessage


@dataclass(frozen=True, slots=True)
class Up:
    """A peer can be reached (again): what it missed is sent anew, and it is waited for."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Down:
    """A peer cannot be reached: it is not waited for."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; due at each `WakeAt`, harmless whenever."""


Event = Heard | Up | Down | Tick


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What was heard in a phase, kept aside for review: averaged or not."""

    own: Vector
    """The node's, read-only, shape (d,)."""
    heard: Mapping[PeerId, Vector]
    """Of the others, as they came."""
    lateness: Mapping[PeerId, float]
    """When it came, after the phase began, as a share of the deadline; 0 for what came before."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a closed round leaves. All tuples are sorted and hold members other than the node itself."""

    vector: Vector
    """Read-only, shape (d,): the average, or the node's own where every phase was void."""
    averaged: bool
    """False where no phase reached its quorum; one in which the node is alone says nothing about the others."""
    present: tuple[PeerId, ...]
    """Averaged in at least one phase."""
    absent: tuple[PeerId, ...]
    """Not heard, or convicted, in at least one phase. Who made one phase and not another is in both."""
    deadline_missed: tuple[PeerId, ...]
    """Of the absent, those whom a phase waited for until its deadline."""
    consensus_distance: float | None
    """sqrt(Σ w_ij |x_j − x_i|²) over the vectors averaged, as they were before; squares add up over the phases, as
    the variances within and between cells do. None where no phase was averaged."""
    kept: tuple[Kept, ...] = ()
    """One a phase in which anybody was heard, where the round was asked to keep them."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to `peer`, best effort."""

    peer: PeerId
    message: RoundMessage


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Hand the round a `Tick` at `time` (on the clock of `now`, seconds) or soon after. Replaces the one before."""

    time: float


@dataclass(frozen=True, slots=True)
class Close:
    """The round is over."""

    outcome: Outcome | PrivateOutcome


Effect = Send | WakeAt | Close
