"""The update watch of one honest node in the open mode, as the benchmark's swarm uses it."""

from __future__ import annotations

import numpy as np

from crypto.identity import PeerId
from detect.peers.features import Seen
from detect.peers.watch import PeerWatch, WatchTerms

ROUND_S = 5.0


class Watch:
    """Node 0 looks at the others, 1 … n−1, of which the first `honest` − 1 are so."""

    def __init__(self, nodes: int, honest: int, classes: int) -> None:
        self._names = [PeerId(f"{place:03}") for place in range(nodes)]
        self._honest, self._classes = honest, classes
        self._watch: PeerWatch | None = None
        self._first: dict[PeerId, int] = {}
        self._rounds, self._shunned = 0, 0

    def look(self, vectors: np.ndarray, before: np.ndarray, number: int) -> np.ndarray:
        """Which of the vectors (n, d) are averaged in this round, (n,) bool."""
        now = number * ROUND_S
        if self._watch is None:
            self._watch = PeerWatch(self._names[1:], WatchTerms(layers=(0, len(before) - self._classes)))
        seen = {name: Seen(vector, 0.0) for name, vector in zip(self._names[1:], vectors[1:], strict=True)}
        self._watch.look(number, seen, vectors[0], before, now)
        self._watch.settle(now)
        shunned = self._watch.shunned()
        for name in shunned:
            self._first.setdefault(name, number)
        self._rounds += 1
        self._shunned += sum(name in shunned for name in self._names[: self._honest])
        return np.array([name not in shunned for name in self._names])

    @property
    def evicted(self) -> int:
        """Honest peers that are evicted."""
        return 0 if self._watch is None else len(self._watch.evicted() & set(self._names[: self._honest]))

    def result(self) -> tuple[float | None, float]:
        """Mean rounds until the liars were shunned, None unless all were; share of honest peer-rounds shunned."""
        after = [self._first[name] + 1 for name in self._names[self._honest :] if name in self._first]
        all_found = len(after) == len(self._names) - self._honest and bool(after)
        return (float(np.mean(after)) if all_found else None), self._shunned / max(1, self._rounds * (self._honest - 1))
