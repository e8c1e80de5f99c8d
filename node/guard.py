"""What a node with private rounds keeps between them: its channel key, its peers' keys, the base, early letters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from consensus.guarded_round import GuardedRound, Member, check_key
from consensus.guarded_terms import Base, GuardTerms
from consensus.letters import Letters
from consensus.meeting_messages import ChannelKeyNotice, key_statement
from consensus.messages import Vector
from consensus.round import Round
from crypto.identity import Identity, PeerId, verify
from crypto.sealing import ChannelKey
from node.errors import StateError

_VECTOR, _OPENED = "private_base", "private_base_opened"


class Guard:
    """Makes the rounds of one process private. `initial` is the swarm's; `base` what a checkpoint held."""

    def __init__(
        self,
        terms: GuardTerms,
        identity: Identity,
        initial: Vector,
        base: Base | None,
        *,
        peers: Collection[PeerId],
        rounds: int,
        randbytes: Callable[[int], bytes],
    ) -> None:
        self.terms = terms
        self._initial = Base(initial.copy(), 0)
        self._initial.vector.flags.writeable = False
        self.base = base or self._initial
        """Of the next round."""
        # Bounds what wait as early letters: boxes and bundles of a round without a dispute, many times over.
        self.letters = Letters(peers, rounds=rounds, most_bytes=2 * terms.most_bytes(initial.size))
        self._me = identity.peer_id
        self._member = Member(identity.sign, ChannelKey.generate(randbytes), randbytes)
        self._keys: dict[PeerId, bytes] = {}
        public = self._member.channel_key.public
        self.notice = ChannelKeyNotice(identity.sign(key_statement(terms.swarm, self._me, public)), public)
        """For every peer that comes up."""

    def take_key(self, peer: PeerId, notice: ChannelKeyNotice) -> str | None:
        """Keep the channel key of `peer` in place of the one before; gives what is wrong with it."""
        public = bytes(notice.body)
        if not verify(peer, key_statement(self.terms.swarm, peer, public), notice.signature):
            return "sends a channel key that it did not sign for this swarm"
        wrong = check_key(public)
        if wrong is not None:
            return f"sends a channel key that is none: {wrong}"
        self._keys[peer] = public
        return None

    def round(
        self,
        me: PeerId,
        number: int,
        phases: Sequence[Mapping[PeerId, float]],
        trained: Vector,
        *,
        then: Callable[[Sequence[Mapping[PeerId, float]], Vector, Collection[PeerId]], Round],
        absent: Collection[PeerId],
    ) -> GuardedRound:
        """Round `number` on what was trained."""
        return GuardedRound(
            me,
            number,
            self.terms,
            self._member,
            phases,
            trained,
            base=self.base,
            initial=self._initial,
            channel_keys=self._keys,
            then=then,
            absent=absent,
        )


def pack_base(base: Base) -> dict[str, bytes | int]:
    """What a checkpoint holds of it."""
    return {_VECTOR: base.body, _OPENED: base.opened}


def unpack_base(values: Mapping[str, object], size: int) -> Base | None:
    """The base in a checkpoint; None where it holds none. Raises StateError for one that is damaged."""
    body, opened = values.get(_VECTOR), values.get(_OPENED)
    if body is None:
        return None
    if not isinstance(body, bytes) or not isinstance(opened, int) or len(body) != 4 * size:
        raise StateError(
            "the checkpoint's base of private rounds is cut short or not a vector",
            "Move the checkpoint away to start this node from the beginning.",
        )
    vector = np.frombuffer(body, "<f4").astype(np.float32)
    vector.flags.writeable = False
    return Base(vector, opened)
