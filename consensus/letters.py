"""Messages of private rounds that came before their round, bounded for each peer."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.effects import Letter, RoundMessage
from consensus.encrypted_messages import Opened
from consensus.messages import Contribution
from crypto.identity import PeerId

_ROUNDS_KEPT = 2
_MESSAGES_KEPT = 64
"""Of one peer and round; an honest member says less before it needs an answer."""


class Letters:
    """Keeps what peers say about later rounds: of each its two highest, so that a flood pushes out its own words alone.

    `rounds` is the number of rounds of the run, `most_bytes` what the bodies of one peer and round may add up to.
    """

    def __init__(self, peers: Iterable[PeerId], *, rounds: int, most_bytes: int) -> None:
        self._rounds = rounds
        self._most_bytes = most_bytes
        self._kept: dict[PeerId, dict[int, list[Letter]]] = {peer: {} for peer in peers}
        self._taken = -1

    def offer(self, peer: PeerId, letter: Letter) -> None:
        """Keep `letter` of a later round. Raises `KeyError` for a peer off the list."""
        kept = self._kept[peer]
        if not self._taken < letter.round < self._rounds:
            return
        letters = kept.setdefault(letter.round, [])
        size = sum(bytes_of(other) for other in letters) + bytes_of(letter)
        if len(letters) < _MESSAGES_KEPT and size <= self._most_bytes:
            letters.append(letter)
        if len(kept) > _ROUNDS_KEPT:
            del kept[min(kept)]

    def take(self, number: int) -> list[tuple[PeerId, Letter]]:
        """Hand over what was kept for round `number`, peers sorted; anything for earlier rounds is forgotten."""
        self._taken = max(self._taken, number)
        found = [(peer, letter) for peer in sorted(self._kept) for letter in self._kept[peer].get(number, ())]
        for peer, kept in self._kept.items():
            self._kept[peer] = {round_: kept[round_] for round_ in kept if round_ > number}
        return found


def bytes_of(message: RoundMessage) -> int:
    """What `message` takes beside its few fields: its body, or its vector."""
    if isinstance(message, Contribution | Opened):
        return message.vector.nbytes
    return len(getattr(message, "body", b""))
