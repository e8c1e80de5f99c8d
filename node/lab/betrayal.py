"""A member of private rounds that lies about the protocol: how it takes part instead, at one wave or another.

    COMMIT   equivocation · rubbish · wrong-shares · long-vector     NONCE_1  wrong-nonce     any   two-votes
    SCALARS  wrong-scalars     opening  wrong-opening · two-openings · wrong-certificate      PROVE on   silent

What such a member learned is as honest as anybody's. What is found of each, and what of that its signature proves, is a
table in ARCHITECTURE.md, and a test.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, Final, TypeGuard

import numpy as np

from consensus.compute import SecretEffect
from consensus.effects import RoundMessage, Send
from consensus.notary import Notary
from consensus.private_dealer import PrivateDealer
from consensus.private_holder import pack_scalars, unpack_scalars
from consensus.private_messages import NIL, Bundle, Item, Portion, PortionKind, Sealed, Stage, Vote
from consensus.private_round import PrivateRound
from consensus.private_stages import Enter
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Sharing
from crypto.commitment import DIGEST_BYTES
from crypto.field import PRIME, Vector
from crypto.norm_proof import share_bits
from crypto.randomness import SEED_BYTES, Stream
from crypto.sketch import Sketch

_TOO_LONG: Final = 3.0
"""Times the longest honest update, 0.9 C."""
_ANOTHER: Final = b"\x01" * 32


class Betrayal(PrivateRound):
    """A private round whose member may say something else than it should, and to each something else."""

    def _effects(self) -> list[SecretEffect]:
        effects: list[SecretEffect] = []
        for effect in super()._effects():
            if isinstance(effect, Send):
                said = self._said(effect.message, self._index[effect.peer])
                effects += [Send(effect.peer, message) for message in said]
            else:
                effects.append(effect)
        return effects

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        """What member `to` is sent in the place of `message`."""
        del to
        return [message]

    def _is_mine(self, message: RoundMessage, stage: Stage) -> TypeGuard[Item]:
        return isinstance(message, Item) and message.stage == stage and message.author == self._me

    def _bent(self, item: Item) -> Item:
        """Our own item with a bit of its body turned, signed."""
        body = bytearray(item.body)
        body[1] ^= 1
        return self._notary.item(Stage(item.stage), bytes(body))


class Equivocating(Betrayal):
    """Signs two commitments, and shows every second member the other one."""

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        return [self._bent(message) if to % 2 and self._is_mine(message, Stage.COMMIT) else message]


class TwoVotes(Betrayal):
    """Votes for two values in one view."""

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        if not isinstance(message, Vote) or message.value == NIL:
            return [message]
        other = self._notary.vote(message.stage, message.view, message.step, _ANOTHER)
        return [message, other] if to % 2 else [other, message]


class WrongNonce(Betrayal):
    """Opens another nonce than it committed to."""

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        del to
        return [self._bent(message) if self._is_mine(message, Stage.NONCE_1) else message]


class WrongScalars(Betrayal):
    """As a holder: says of another dealer's shares what they do not bear out, and holds to it."""

    def _enter(self, step: Enter, now: float) -> None:
        if step.stage is Stage.SCALARS and step.body is not None:
            scalars = unpack_scalars(self._terms, step.body)
            about = next(dealer for dealer in sorted(scalars) if dealer != self._me)
            moved = (scalars[about].degree.astype(np.uint64) + 1) % PRIME
            scalars[about] = replace(scalars[about], degree=moved.astype(np.uint32))
            step = replace(step, body=pack_scalars(self._terms, scalars))
        super()._enter(step, now)


class _Opener(Betrayal):
    """Lies in the opening, where statements are about the decision before it."""

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        del to
        opening = self._opening
        return [message] if opening is None else self._opened(message, opening._notary)

    @abstractmethod
    def _opened(self, message: RoundMessage, notary: Notary) -> Sequence[RoundMessage]:
        """What everybody is sent in the place of `message`; `notary` speaks about the decision."""

    def _is_my_share(self, message: RoundMessage) -> TypeGuard[Portion]:
        return isinstance(message, Portion) and message.kind == PortionKind.SHARE and message.author == self._me


class WrongOpening(_Opener):
    """Signs a share of the sum that is off."""

    def _opened(self, message: RoundMessage, notary: Notary) -> Sequence[RoundMessage]:
        if not self._is_my_share(message):
            return [message]
        words = np.frombuffer(message.body, "<u4").copy()
        words[0] = (int(words[0]) + 1) % PRIME
        return [notary.portion(message.owner, message.kind, words.tobytes())]


class TwoOpenings(_Opener):
    """Signs its share of the sum over another accepted set too."""

    def _opened(self, message: RoundMessage, notary: Notary) -> Sequence[RoundMessage]:
        if not self._is_my_share(message):
            return [message]
        other = replace(notary, context=_ANOTHER)
        return [other.portion(message.owner, message.kind, message.body), message]


class WrongCertificate(_Opener):
    """Signs another sum than the one opened."""

    def _opened(self, message: RoundMessage, notary: Notary) -> Sequence[RoundMessage]:
        if not self._is_mine(message, Stage.CERTIFY):
            return [message]
        parts = bytes(message.body[DIGEST_BYTES:])  # what it made the right sum of: it has nothing better to show
        return [notary.item(Stage.CERTIFY, _ANOTHER + parts)]


class Silent(Betrayal):
    """Commits, and says nothing more."""

    def _said(self, message: RoundMessage, to: int) -> Sequence[RoundMessage]:
        del to
        early = isinstance(message, Item | Vote | Bundle | Sealed) and message.stage < Stage.PROVE
        return [message] if early else []


# --- dealers ----------------------------------------------------------------------------------------------------------


class _TooLong(PrivateDealer):
    """Deals what is longer than the bound, and proves what it would be were it not."""

    def prove(self, sketch: Sketch) -> tuple[bytes, ...]:
        proof = self._terms.proof
        values = np.clip(sketch.values(self.lattice), -proof.bound, proof.bound - 1)
        square = int(((values >> proof.shift) ** 2).sum())
        rows = ((values + proof.bound)[:, None] >> np.arange(proof.bits)) & 1
        slack = ((proof.tau - square) >> np.arange(proof.slack_bits)) & 1
        stream = Stream(self._randbytes(SEED_BYTES), "bits")
        return self.seal_bits(share_bits(proof, rows.astype(np.uint32), slack.astype(np.uint32), stream))

    def _secrets(self, block: int) -> Vector:
        self._lengthen()
        return super()._secrets(block)

    def _lengthen(self) -> None:
        wanted = _TOO_LONG * self._terms.proof.honest_norm
        length = float(np.linalg.norm(self.lattice.astype(np.float64)))
        if length < wanted / 2:
            longer = self.lattice * (wanted / length) if length else np.full(self.lattice.shape, wanted)
            self.lattice = np.rint(longer / (1 if length else self.lattice.size**0.5)).astype(np.int32)


class _OffTheCodeword(PrivateDealer):
    """Sends two holders words of no polynomial."""

    def _rows(self, block: int) -> dict[int, Vector]:
        rows = super()._rows(block)
        for holder in sorted(self._plans)[:2]:
            rows[holder][-1] = (int(rows[holder][-1]) + 1) % PRIME
        return rows


class _OfRubbish(PrivateDealer):
    """Seals to one holder what does not open."""

    def _seal(self, holder: int, block: int, row: Vector) -> bytes:
        sealed = super()._seal(holder, block, row)
        return sealed[:-1] + bytes([sealed[-1] ^ 1]) if holder == min(self._plans) else sealed


class LongVector(PrivateRound):
    """Deals an update three times too long under a forged proof."""

    deals: ClassVar[type[PrivateDealer]] = _TooLong


class WrongShares(PrivateRound):
    """Deals shares that are on no codeword."""

    deals: ClassVar[type[PrivateDealer]] = _OffTheCodeword


class Rubbish(PrivateRound):
    """Deals a box that does not open."""

    deals: ClassVar[type[PrivateDealer]] = _OfRubbish


BETRAYALS: Final[Mapping[str, type[PrivateRound]]] = MappingProxyType(
    {
        "equivocation": Equivocating,
        "two-votes": TwoVotes,
        "long-vector": LongVector,
        "wrong-shares": WrongShares,
        "rubbish": Rubbish,
        "wrong-nonce": WrongNonce,
        "wrong-scalars": WrongScalars,
        "wrong-opening": WrongOpening,
        "two-openings": TwoOpenings,
        "wrong-certificate": WrongCertificate,
        "silent": Silent,
    }
)
"""By what stands after `protocol-liar:` in a topology file."""


def betraying(kind: str) -> Callable[[Sharing], Sharing]:
    """How a liar of that kind takes part in secret phases. Other sharings than shamir prove nothing, and are left as
    they are: there is nothing to find.
    """
    plays = BETRAYALS[kind]
    return lambda sharing: replace(sharing, plays=plays) if isinstance(sharing, ShamirSharing) else sharing
