"""Whom a round should wait for: a failure detector without a clock of its own.

The transport says which connections stand; that is not enough. A process that hangs keeps its connections for a while,
and each round would wait for it until the deadline; one that crashes in a loop comes up again and again. So a peer is
waited for when it comes up, but once it let a deadline pass, or went down without a word, not before it speaks again:

    DOWN ──up──► EXPECTED ──heard──► LIVE
     ▲             │   │              │ ▲
     │        down │   │ missed       │ │ heard
     │             ▼   ▼       missed ▼ │
     │           MUTE ──up──► SUSPECTED─┘       down: LIVE → DOWN, EXPECTED and SUSPECTED → MUTE
     └──────────────down (of LIVE)

A killed peer costs the others nothing (its connections end), a hung one at most one deadline each: the round in which
it went silent. It is still sent everything, and what it sends in time counts: suspicion concerns waiting alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from crypto.identity import PeerId


class State(Enum):
    """How a peer stands with us."""

    DOWN = auto()
    """Not connected; the last time that it was, it spoke (or it never was)."""
    EXPECTED = auto()
    """Connected, and not heard yet."""
    LIVE = auto()
    SUSPECTED = auto()
    """Connected and silent: not waited for."""
    MUTE = auto()
    """Not connected; the last time that it was, it said nothing."""


class _Sign(Enum):
    UP = auto()
    DOWN = auto()
    HEARD = auto()
    MISSED = auto()


_TRANSITIONS: Mapping[tuple[State, _Sign], State] = MappingProxyType(
    {
        (State.DOWN, _Sign.UP): State.EXPECTED,
        (State.EXPECTED, _Sign.HEARD): State.LIVE,
        (State.EXPECTED, _Sign.MISSED): State.SUSPECTED,
        (State.EXPECTED, _Sign.DOWN): State.MUTE,
        (State.LIVE, _Sign.DOWN): State.DOWN,
        (State.LIVE, _Sign.MISSED): State.SUSPECTED,
        (State.SUSPECTED, _Sign.DOWN): State.MUTE,
        (State.SUSPECTED, _Sign.HEARD): State.LIVE,
        (State.MUTE, _Sign.UP): State.SUSPECTED,
    }
)
"""What is not here changes nothing. Of a peer that is down nothing counts but that it comes up: a deadline that it
missed is no news, and the transport knows better whether it can be reached than a message that was still under way."""


_AWAITED = frozenset({State.EXPECTED, State.LIVE})


@dataclass(frozen=True, slots=True)
class Standing:
    """A peer's state, and since when (seconds on the caller's clock; None where it has not changed yet)."""

    state: State
    since: float | None


class Liveness:
    """The standing of each peer of a fixed list; any other peer raises `KeyError`. All begin as down."""

    def __init__(self, peers: Iterable[PeerId]) -> None:
        self._standings = dict.fromkeys(peers, Standing(State.DOWN, None))

    def up(self, peer: PeerId, now: float) -> None:
        """A connection to `peer` stands."""
        self._move(peer, _Sign.UP, now)

    def down(self, peer: PeerId, now: float) -> None:
        """It stands no more, or the transport found the peer silent."""
        self._move(peer, _Sign.DOWN, now)

    def heard(self, peer: PeerId, now: float) -> None:
        """`peer` spoke in time: of the round in progress or a later one.

        Not what comes too late, or a peer that is always a little late would cost every round its deadline.
        """
        self._move(peer, _Sign.HEARD, now)

    def missed(self, peer: PeerId, now: float) -> None:
        """A round waited for `peer` until a deadline in vain."""
        self._move(peer, _Sign.MISSED, now)

    def waited_for(self) -> frozenset[PeerId]:
        """The peers worth waiting for."""
        return frozenset(peer for peer, standing in self._standings.items() if standing.state in _AWAITED)

    def standing(self, peer: PeerId) -> Standing:
        """How `peer` stands."""
        return self._standings[peer]

    def _move(self, peer: PeerId, sign: _Sign, now: float) -> None:
        before = self._standings[peer].state
        after = _TRANSITIONS.get((before, sign), before)
        if after is not before:
            self._standings[peer] = Standing(after, now)
