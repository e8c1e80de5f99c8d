"""The published channel keys of those who may share a cell: one each, the latest that its owner signed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from consensus.meeting_messages import ChannelKeyNotice, key_statement
from crypto.identity import PeerId
from crypto.sealing import PUBLIC_BYTES, ChannelKey, SealingError, parse_public

Verify = Callable[[PeerId, bytes, bytes], bool]


def make_notice(
    swarm: bytes, owner: PeerId, made: int, key: ChannelKey, sign: Callable[[bytes], bytes]
) -> ChannelKeyNotice:
    """The notice by which `owner`, whose `sign` it is, publishes its key."""
    return ChannelKeyNotice(owner, made, sign(key_statement(swarm, owner, made, key.public)), key.public)


class ChannelKeys:
    """Of `peers`, in the swarm with this digest. Room for one notice a peer, whoever passes on what."""

    def __init__(self, swarm: bytes, peers: Collection[PeerId], verify: Verify) -> None:
        self._swarm = swarm
        self._peers = frozenset(peers)
        self._verify = verify
        self._notices: dict[PeerId, ChannelKeyNotice] = {}

    @property
    def notices(self) -> tuple[ChannelKeyNotice, ...]:
        """All that are known, sorted by owner."""
        return tuple(self._notices[owner] for owner in sorted(self._notices))

    @property
    def public(self) -> dict[PeerId, bytes]:
        """The keys, by owner."""
        return {owner: bytes(notice.body) for owner, notice in self._notices.items()}

    def is_news(self, notice: ChannelKeyNotice) -> bool:
        """Whether its owner may share a cell with us, and it is later than what we have of it."""
        known = self._notices.get(notice.owner)
        return notice.owner in self._peers and (known is None or known.made < notice.made)

    def take(self, notice: ChannelKeyNotice) -> None:
        """Take a notice, whoever sent it, if it is news. Raises `SealingError` for one that no honest peer makes or
        passes on.
        """
        if not self.is_news(notice):
            return
        owner, made, public = notice.owner, notice.made, bytes(notice.body)
        if len(public) != PUBLIC_BYTES:
            raise SealingError(f"it has {len(public)} bytes, not {PUBLIC_BYTES}")
        if not self._verify(owner, key_statement(self._swarm, owner, made, public), notice.signature):
            raise SealingError("its owner did not sign it for this swarm")
        parse_public(public)
        self._notices[owner] = ChannelKeyNotice(owner, made, notice.signature, public)
