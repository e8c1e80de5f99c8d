"""What a member of a masked round has said, and to whom."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from consensus.compute import SecretEffect
from consensus.effects import Send
from consensus.masked_messages import Dealt, MaskedMessage, masked_statement
from consensus.signer import Signer
from crypto.identity import PeerId

_Message = TypeVar("_Message", bound=MaskedMessage)


class Voice:
    """Signs what is said, and says it again to who may have missed it."""

    def __init__(self, signer: Signer, context: bytes, others: Collection[PeerId]) -> None:
        self._signer, self._context = signer, context
        self._said: dict[PeerId, list[MaskedMessage]] = {peer: [] for peer in others}

    def say(self, peers: Collection[PeerId], message: MaskedMessage) -> list[SecretEffect]:
        """Send `message` to each of `peers`, signed."""
        signed = self.signed(message)
        for peer in peers:
            self._said[peer].append(signed)
        return [Send(peer, signed) for peer in sorted(peers)]

    def again(self, peer: PeerId) -> list[SecretEffect]:
        """All that was said to `peer`, in the same words."""
        return [Send(peer, message) for message in self._said.get(peer, ())]

    def signed(self, message: _Message) -> _Message:
        """`message` with our signature; a box needs none."""
        if isinstance(message, Dealt):
            return message
        return replace(message, signature=self._signer.sign(masked_statement(self._context, message)))

    def wrote(self, peer: PeerId, message: MaskedMessage) -> bool:
        """Whether `peer` signed `message`."""
        if isinstance(message, Dealt):
            return True
        return self._signer.verify(peer, masked_statement(self._context, message), message.signature)
