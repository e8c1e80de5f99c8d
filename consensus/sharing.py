"""The secret phase of a round, whatever hides its updates: what a node brings, what it keeps, what it is told.

    Sharing ── round(…, update) ──► SecretRound ── events in, effects out ──► PrivateOutcome: the mean, and nothing else

Four kinds stand behind it: packed Shamir shares with proofs of norm, pairwise masks, and homomorphic sums (CKKS, BFV).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from consensus.compute import SecretEffect, SecretEvent
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from consensus.signer import Signer
from consensus.vault import Vault
from crypto.field import Signed
from crypto.identity import PeerId
from crypto.sealing import ChannelKey


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """What a node brings to a cell."""

    vector: Vector
    """float32 (d,)."""
    noise: Signed | None = None
    """int32 (d,), in lattice units of the sharing's `FixedPoint`: added after encoding. None: none is added."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What a node keeps to itself: how it signs and draws, and the key that boxes for it are sealed to."""

    signer: Signer
    channel_key: ChannelKey = field(repr=False)
    key_is_new: bool = False
    """Whether peers may still seal to another key of ours, or to none: the key was made since they last heard."""
    vault: Vault = field(default_factory=Vault, repr=False)
    """What is kept of closed rounds."""


class SecretRound(Protocol):
    """One secret phase of one member, as a state machine: it may be fed from any one thread, and keeps no clock."""

    number: int
    outcome: PrivateOutcome | None

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom it waits for at the moment, sorted; empty before the start and after the end."""

    def start(self, now: float) -> list[SecretEffect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`, after `start`; closed rounds still answer. May raise `RemoteFault` for what no
        honest member sends.
        """


class Sharing(Protocol):
    """How the secret phases of a swarm are run: immutable, made once from what all nodes agree on."""

    @property
    def members(self) -> int:
        """m: of every cell."""

    @property
    def absentees(self) -> int:
        """Members of a cell that a secret phase can do without."""

    @property
    def vouching(self) -> int:
        """So many members that say one thing are not all liars or colluders."""

    @property
    def deadline_s(self) -> float:
        """How long one wave of a secret phase may wait for members."""

    def most_bytes(self, size: int) -> int:
        """Of the body of any message of a secret phase on d = `size` parameters: what the wire must let through."""

    def round(
        self,
        me: PeerId,
        cell: tuple[PeerId, ...],
        number: int,
        epoch: int,
        size: int,
        update: Update | None,
        hand: Hand,
        channel_keys: Mapping[PeerId, bytes],
        absent: Collection[PeerId] = (),
        shunned: Collection[PeerId] = (),
    ) -> SecretRound:
        """Round `number` of the sorted `cell` on d = `size` parameters.

        With `update` None the member helps and learns the mean, but brings nothing. `channel_keys` holds the public
        keys of those who published one; `absent` are not waited for. Whom more than half of the members have among
        their `shunned` is left out of the sum where updates are proved; elsewhere members trust each other, and all are
        in. Raises PlanError where `me` or the cell does not fit, ValueError for an update that the encoding cannot
        carry.
        """
