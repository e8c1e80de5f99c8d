"""Secret phases by packed Shamir shares, each update proved short."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from consensus.errors import PlanError
from consensus.private_round import PrivateRound
from consensus.private_sizes import published
from consensus.private_terms import PrivateTerms
from consensus.screen import WHOLE, Screen
from consensus.sharing import Hand, Update
from crypto.blur import Blur, BlurError
from crypto.distances import unit
from crypto.fixedpoint import FixedPoint, FixedPointError
from crypto.identity import PeerId
from crypto.norm_proof import ProofError, ProofParameters
from crypto.sealing import TAG_BYTES
from crypto.shamir import Packing, PackingError, blocks_of

# A fine lattice, so that what rounding adds stays far below what training changes: clip / 115,200 a step. The bits a
# proof leaves out grow by as much as C does against its default, so its error probabilities stay what they are.
_CLIP, _BOUND_BITS, _SHIFT = 128_000, 20, 9
_BOX_BYTES = 4096
"""More than all of a box that is not shares or bits."""


@dataclass(frozen=True)
class ShamirSharing:
    """What does not change from round to round. Raises PlanError with the bound that does not hold."""

    members: int
    """m: of every cell."""
    tolerated: int
    packed: int
    liars: int
    absentees: int
    clip: float | None = None
    """Largest Euclidean norm of an update; a longer one is shortened. Give this or `encoding`."""
    encoding: FixedPoint | None = None
    """How updates are written where noise decides that (`LatticeGaussian.encoding`); else it follows from `clip`."""
    least_honest: int | None = None
    """h: the sum holds at least this many updates beside those of t colluders; None: m − t − f − e, but at least 1."""
    deadline_s: float = 30.0
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)
    direct_bytes: int = 32 * 1024
    """See `PrivateTerms.direct_bytes`: where a wave costs more than the bytes that it spares."""
    screen: Screen | None = None
    """How updates are weighed by noised distances; None: all weigh the same."""
    plays: type[PrivateRound] = field(default=PrivateRound, repr=False)
    """How this member takes part; liars of a lab have their own ways."""
    keep_rounds: int = 0
    """See `PrivateTerms.keep_rounds`."""

    def __post_init__(self) -> None:
        if (self.clip is None) == (self.encoding is None):
            raise PlanError("sharing needs either a clip, in units of an update, or an encoding")
        cell = tuple(PeerId(f"member {place:03}") for place in range(self.members))
        self._terms(cell, 0, 0, 1, dict.fromkeys(cell, b""))

    @cached_property
    def proof(self) -> ProofParameters:
        """What is proved of an update; its `honest_norm` is the room for noised ones, in lattice units."""
        proof = proof_of(Packing(self.members, self.tolerated, self.packed, self.liars, self.absentees))
        if self.screen is None:
            return proof
        shares = self.members - self.tolerated - self.absentees - self.liars
        honest = max(1, shares if self.least_honest is None else self.least_honest)
        return replace(proof, blur=Blur.of(self.members, self.screen.noise * unit(proof), honest))

    @cached_property
    def fixed(self) -> FixedPoint:
        """How updates are written."""
        room = self.members if self.screen is None else max(self.members, WHOLE)
        if self.encoding is not None:
            return self.encoding if self.screen is None else replace(self.encoding, members=room)
        clip = self.clip or 0.0
        return FixedPoint(self.proof.honest_norm / clip if clip else 0.0, clip, room)

    @property
    def vouching(self) -> int:
        """max(t, e) + 1."""
        return max(self.tolerated, self.liars) + 1

    def most_bytes(self, size: int) -> int:
        """Of the body of any message of a round on d = `size` parameters: all boxes of a dispute in one bundle."""
        proof = self.proof
        bits = proof.words + (len(proof.blur.pairs) if proof.blur else 0)
        columns = proof.packing.columns(size)
        box = 4 * (columns + bits) + TAG_BYTES * len(blocks_of(columns)) + _BOX_BYTES
        recalled = (
            self.members * (self.keep_rounds * (4 * columns + _BOX_BYTES) + _BOX_BYTES) if self.keep_rounds else 0
        )
        return max(4 * size, published(proof.packing) * box, recalled)

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
    ) -> PrivateRound:
        """See `Sharing.round`."""
        _check(update, size)
        mine = hand.channel_key.public
        # Who has published no key is sent boxes that it cannot open, and is not waited for.
        keys = {peer: channel_keys.get(peer, mine) for peer in cell} | {me: mine}
        return self.plays(
            me,
            self._terms(cell, number, epoch, size, keys),
            None if update is None else update.vector,
            noise=None if update is None else update.noise,
            sign=hand.signer.sign,
            verify=hand.signer.verify,
            randbytes=hand.signer.randbytes,
            channel_key=hand.channel_key,
            key_is_new=hand.key_is_new,
            vault=hand.vault,
            shunned=shunned,
            absent={*absent, *(peer for peer in cell if peer != me and peer not in channel_keys)},
        )

    def _terms(
        self, cell: tuple[PeerId, ...], number: int, epoch: int, size: int, channel_keys: Mapping[PeerId, bytes]
    ) -> PrivateTerms:
        try:
            proof, fixed = self.proof, self.fixed
        except (PackingError, ProofError, FixedPointError, BlurError) as error:
            raise PlanError(str(error)) from error
        return PrivateTerms(
            cell=cell,
            number=number,
            size=size,
            proof=proof,
            fixed=fixed,
            channel_keys=channel_keys,
            swarm=self.swarm,
            layout=self.layout,
            epoch=epoch,
            deadline_s=self.deadline_s,
            least_honest=self.least_honest,
            direct_bytes=self.direct_bytes,
            screen=self.screen,
            keep_rounds=self.keep_rounds,
        )


def _check(update: Update | None, size: int) -> None:
    if update is None:
        return
    vector, noise = update.vector, update.noise
    fits = vector.shape == (size,) and vector.dtype == np.float32
    if not fits or (noise is not None and (noise.shape != (size,) or noise.dtype != np.int32)):
        got = f"{vector.dtype} {vector.shape}" + ("" if noise is None else f" and {noise.dtype} {noise.shape}")
        raise ValueError(f"an update is float32 ({size},) and its noise int32 ({size},), got {got}")


def proof_of(packing: Packing) -> ProofParameters:
    """What is proved of an update under `packing`, the same in all swarms. Raises ProofError."""
    return ProofParameters(packing, clip=_CLIP, bound_bits=_BOUND_BITS, shift=_SHIFT)
