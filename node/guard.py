"""What a node with private rounds keeps between them: its channel key, its peers' keys, the base, early letters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from consensus.base import Base
from consensus.channel_keys import ChannelKeys, make_notice
from consensus.closed_round import ClosedRound
from consensus.coordinates import Coordinates
from consensus.guarded_round import GuardedRound, GuardedTerms
from consensus.letters import Letters
from consensus.meeting_messages import ChannelKeyNotice
from consensus.messages import Vector
from consensus.open_phases import Phases, Then
from consensus.private_dealer import Randbytes
from consensus.private_messages import BodyError
from consensus.rules import Rule
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Hand, Sharing, Update
from consensus.signer import Signer
from consensus.vault import Vault
from crypto.identity import Identity, PeerId, Verifier, verify
from crypto.sealing import ChannelKey, SealingError
from node.errors import BEGIN_ANEW, StateError

_BODY, _OPENED = "private_base", "private_base_opened"
NO_BEACON: Final = bytes(32)
_VALUES_IN_BASE = 2  # y, and v
_SETTLING = 3
"""Rounds until all that had begun before our new channel key reached them are over."""


class Guard:
    """Makes the rounds of one process private."""

    def __init__(
        self,
        sharing: Sharing,
        identity: Identity,
        initial: Vector,
        base: Base | None,
        *,
        swarm: bytes,
        rule: Rule,
        channel_key: ChannelKey,
        made: int,
        peers: Collection[PeerId],
        rounds: int,
        randbytes: Randbytes,
        momentum: float = 0.0,
        coordinates: float = 1.0,
        key_is_new: bool = False,
        apart: bool = False,
    ) -> None:
        """`initial` is the swarm's first vector (d,), `base` what a checkpoint held; `channel_key` was `made` at that
        second since 1970. `peers` are all that may ever share a cell with us, neighbours or not. `coordinates` is the
        share of them that a round shares. `key_is_new`: this process has made the channel key.
        `apart`: members of a cell have different bases in the ordinary course, as in stars.
        """
        self.sharing = sharing
        size = initial.size
        self.base = base or first_base(initial, momentum)
        """Of the next round: assign that of a round which is closed."""
        self.most_bytes = max(sharing.most_bytes(size), 4 * _VALUES_IN_BASE * size)
        """Of the body of any message of a private round: what the wire must let through."""
        self.room = 2 * self.most_bytes
        """Bytes that what one peer says may take while it waits: boxes and bundles of a round without a dispute, many
        times over.
        """
        self.letters = Letters(peers, rounds=rounds, most_bytes=self.room)
        # Alone of the kinds of sharing it has shares that can be opened again.
        self.vault = Vault(sharing.keep_rounds if isinstance(sharing, ShamirSharing) else 0)
        """What is kept of closed rounds: assign that of a round which is closed. In memory alone."""
        self._me = identity.peer_id
        hand = Hand(Signer(identity.sign, Verifier().verify, randbytes), channel_key, key_is_new)
        self._terms = GuardedTerms(sharing, hand, rule, momentum, apart)
        self._new_until: int | None = None
        """The round from which on all peers have heard of a key that was new."""
        self._coordinates = Coordinates(coordinates, size, swarm)
        self._keys = ChannelKeys(swarm, peers, verify)
        self.notice = make_notice(swarm, self._me, made, channel_key, identity.sign)
        """Our own channel key, for every peer that comes up."""

    @property
    def hand(self) -> Hand:
        """What this node keeps to itself."""
        return self._terms.hand

    # --- channel keys ---------------------------------------------------------------------------------------------

    @property
    def notices(self) -> tuple[ChannelKeyNotice, ...]:
        """All channel keys that we know, our own first: for a peer that comes up, where members are not neighbours."""
        return (self.notice, *self._keys.notices)

    @property
    def public_keys(self) -> Mapping[PeerId, bytes]:
        """The channel keys of others that we know, by owner."""
        return self._keys.public

    def is_news(self, notice: ChannelKeyNotice) -> bool:
        """Whether a channel key is one that we would take, if it is sound: then pass it on once it is taken."""
        return self._keys.is_news(notice)

    def take_key(self, peer: PeerId, notice: ChannelKeyNotice) -> str | None:
        """Take a channel key that `peer` sent, its own or another's; gives what is wrong with it."""
        try:
            self._keys.take(notice)
        except SealingError as error:
            whose = "a channel key" if notice.owner == peer else f"the channel key of {notice.owner}"
            return f"sends {whose} that is none: {error}"
        return None

    # --- rounds ---------------------------------------------------------------------------------------------------

    def difference(self, trained: Vector) -> Update:
        """What was learned since the base: the update of a node that adds no noise of its own to a lattice."""
        return Update(trained - self.base.vector)

    def round(
        self,
        number: int,
        phases: Phases,
        trained: Vector,
        update: Update | None,
        *,
        then: Then,
        absent: Collection[PeerId],
        shunned: Collection[PeerId] = (),
        epoch: int = 0,
        beacon: bytes = NO_BEACON,
    ) -> GuardedRound:
        """Round `number` on the model `trained`; `update` is what it brings. The epoch's `beacon` draws coordinates."""
        if self._new_until is None:
            self._new_until = number + _SETTLING
        if number >= self._new_until and self._terms.hand.key_is_new:
            self._terms = replace(self._terms, hand=replace(self._terms.hand, key_is_new=False))
        return GuardedRound(
            self._me,
            number,
            replace(self._terms, hand=replace(self._terms.hand, vault=self.vault)),
            phases,
            trained,
            update,
            base=self.base,
            channel_keys=self._keys.public,
            then=then,
            epoch=epoch,
            places=self._coordinates.of(number, epoch, beacon),
            absent=absent,
            shunned=shunned,
        )

    def closed_round(self, number: int, phases: Phases) -> ClosedRound:
        """Round `number`, which was over before this process began: it tells those behind what it came to."""
        return ClosedRound(self._me, number, tuple(sorted(phases[0])), self.base, self._terms)


def first_base(initial: Vector, momentum: float) -> Base:
    """What all have in common before the first round."""
    vector = initial.copy()
    vector.flags.writeable = False
    velocity = None
    if momentum > 0:
        velocity = initial * 0
        velocity.flags.writeable = False
    return Base(vector, 0, velocity)


def pack_base(base: Base) -> dict[str, bytes | int]:
    """What a checkpoint holds of it."""
    return {_BODY: base.body, _OPENED: base.opened}


def unpack_base(values: Mapping[str, object], size: int) -> Base | None:
    """The base of d = `size` in a checkpoint; None where it holds none. Raises StateError for one that is damaged."""
    body, opened = values.get(_BODY), values.get(_OPENED)
    if body is None and opened is None:
        return None
    try:
        return _base_of(body, opened, size)
    except BodyError as error:
        raise StateError(
            f"the checkpoint's base of private rounds is damaged: {error}",
            BEGIN_ANEW,
        ) from error


def _base_of(body: object, opened: object, size: int) -> Base:
    if not isinstance(body, bytes) or not isinstance(opened, int) or opened < 0:
        raise BodyError("its fields have the wrong types")
    return Base.parse(body, size, opened, velocity=len(body) == 8 * size)
