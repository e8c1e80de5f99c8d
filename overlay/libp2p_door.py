"""Who may try to prove an identity, and how often refusals are told: what a flood of strangers meets first.

Times are seconds on any clock that does not go back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from crypto.identity import PeerId
from overlay.libp2p_limits import TransportLimits
from overlay.transport import Refused

TOO_FAST: Final = "connections faster than this node takes them up"
_MAX_HOSTS: Final = 1024
TOO_MANY: Final = "too many connections that prove no identity"


@dataclass(frozen=True, slots=True, eq=False)
class Knock:
    """An inbound connection that has proved no identity yet."""

    host: str
    since: float


class _Bucket:
    """A token bucket: `upgrades_per_s`, `upgrades_burst` at most."""

    def __init__(self, limits: TransportLimits, now: float) -> None:
        self._rate = limits.upgrades_per_s
        self._burst = float(limits.upgrades_burst)
        self._tokens = self._burst
        self._counted_at = now

    def take(self, now: float) -> bool:
        """Whether there was a token."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """What was taken was not used."""
        self._tokens += 1

    def _fill(self, now: float) -> None:
        self._tokens = min(self._tokens + (now - self._counted_at) * self._rate, self._burst)
        self._counted_at = now


class Door:
    """Counts half-open connections, overall and by host.

    When they are too many the oldest one of the host with the most gives way to a newer, once it had its grace: those
    who stall cannot keep out those who do not, and one host cannot use up the places of another.
    """

    def __init__(self, limits: TransportLimits) -> None:
        self._limits = limits
        self._inside: dict[Knock, None] = {}  # in the order of arrival
        self._of_host: Counter[str] = Counter()
        self._buckets: dict[str, _Bucket] = {}

    def knock(self, host: str, now: float) -> tuple[Knock | None, Knock | None, str]:
        """A connection from `host`: (its place or None, who must leave for it, why somebody is turned away)."""
        bucket = self._bucket(host, now)
        if not bucket.take(now):
            return None, None, TOO_FAST
        victim = self._crowded_by(host)
        if victim is not None and now - victim.since < self._limits.half_open_grace_s:
            bucket.give_back()
            return None, None, TOO_MANY
        if victim is not None:
            self.leave(victim)
        place = Knock(host, now)
        self._inside[place] = None
        self._of_host[host] += 1
        return place, victim, TOO_MANY

    def leave(self, place: Knock) -> None:
        """`place` proved its identity, or gave up. Harmless to say twice."""
        if place in self._inside:
            del self._inside[place]
            self._of_host[place.host] -= 1
            if not self._of_host[place.host]:
                del self._of_host[place.host]

    def _bucket(self, host: str, now: float) -> _Bucket:
        """The bucket of `host`: a flood from one address does not spend what the others have."""
        bucket = self._buckets.pop(host, None) or _Bucket(self._limits, now)
        if len(self._buckets) >= _MAX_HOSTS:
            del self._buckets[next(iter(self._buckets))]  # whoever knocked longest ago
        self._buckets[host] = bucket
        return bucket

    def _crowded_by(self, host: str) -> Knock | None:
        if self._of_host[host] >= self._limits.half_open_per_address:
            crowd = host
        elif len(self._inside) >= self._limits.half_open:
            crowd = self._of_host.most_common(1)[0][0]
        else:
            return None
        return next(knock for knock in self._inside if knock.host == crowd)


_MAX_HELD: Final = 64
_FURTHER: Final = "further refusals"
_MANY: Final = 8
"""Reasons told between two sums; more is a flood, though each of them is new."""
_LONGEST_PAUSE_S: Final = 60.0


class RefusalLog:
    """Tells the first refusal of a reason at once, and sums up those that follow closely."""

    def __init__(self, tell: Callable[[Refused], None], clock: Callable[[], float], every_s: float) -> None:
        self._tell = tell
        self._every_s = every_s
        self._clock = clock
        self._pause_s = every_s
        self._quiet_until = -math.inf
        self._told_at: dict[str, float] = {}
        self._held: dict[tuple[PeerId | None, str], Refused] = {}

    def refuse(self, peer: PeerId | None, address: str, reason: str) -> None:
        """Somebody was turned away; `peer` is None where no identity was proved."""
        if reason in self._told_at or len(self._told_at) >= _MAX_HELD:
            self._hold(Refused(peer, address, reason))
        else:
            self._told_at[reason] = self._clock()
            self._tell(Refused(peer, address, reason))

    def flush(self) -> None:
        """Tell what was held. Call it once in `every_s`; while a flood goes on it tells ever more rarely."""
        now = self._clock()
        if now < self._quiet_until:
            return
        flood = self._held or len(self._told_at) > _MANY
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if flood else self._every_s
        self._quiet_until = now + self._pause_s - self._every_s
        self._told_at = {reason: at for reason, at in self._told_at.items() if now - at < self._every_s}
        held, self._held = self._held, {}
        for refused in held.values():
            self._told_at[refused.reason] = now
            self._tell(refused)

    def _hold(self, refused: Refused) -> None:
        key = (refused.peer, refused.reason)
        if key not in self._held and len(self._held) >= _MAX_HELD:  # fresh keys cost a stranger nothing
            key = (None, _FURTHER)
        before = self._held.get(key)
        count = 1 if before is None else before.count + 1
        self._held[key] = Refused(key[0], refused.address, key[1], count)
