"""How often somebody may ask. Token buckets, as many as are in use and never more than a bound."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, and `per_s` a second from then on."""

    per_s: float
    burst: float


class Buckets:
    """A bucket for each of those who ask. Who has not asked for longest is forgotten first, which fills their bucket:
    with `most` of them it takes as many addresses as that to get more than the rate.
    """

    def __init__(self, rate: Rate, most: int = 4096) -> None:
        self._rate, self._most = rate, most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, now: float) -> float:
        """Take one from the bucket of `who` at `now` (seconds, monotone): 0, or after how many seconds there is one."""
        level, since = self._levels.pop(who, (self._rate.burst, now))
        level = min(self._rate.burst, level + (now - since) * self._rate.per_s)
        granted = level >= 1
        self._levels[who] = (level - 1 if granted else level, now)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return 0.0 if granted else (1 - level) / self._rate.per_s
