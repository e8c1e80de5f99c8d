"""How members of a cell that have no edge speak to each other: through the centre of their star."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from consensus.private_messages import Body
from crypto.commitment import digest
from crypto.identity import PeerId

MESSAGES_EACH: Final = 4096
"""Of one member to another in one round."""


@dataclass(frozen=True, slots=True, eq=False)
class Relayed:
    """A message of `origin` for `target` (their places in the topology file) about `round`, on its way through the
    centre of the star that both are in. The body is sealed for the target, and all of it signed by the origin.
    """

    round: int
    origin: int
    target: int
    sequence: int
    signature: bytes
    body: Body


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """Where the sender is, for neighbours in other stars or in none, and lest members of its star wait in vain."""

    round: int
    sits: int
    """1 where it sits this round out."""
    body: Body
    """Which of its neighbours it can reach, a bit each in the order of the topology file."""

    @classmethod
    def of(cls, number: int, reachable: Sequence[bool], *, sits: bool) -> Self:
        """Which of our neighbours, ascending, can be reached."""
        return cls(number, int(sits), np.packbits(np.asarray(reachable, np.bool_)).tobytes())

    def reachable(self, neighbours: int) -> list[bool]:
        """The same, of that many; nobody where the length is wrong."""
        if len(self.body) != (neighbours + 7) // 8:
            return [False] * neighbours
        bits = np.unpackbits(np.frombuffer(self.body, np.uint8), count=neighbours)
        return [bool(bit) for bit in bits]


def relayed_statement(swarm: bytes, origin: PeerId, target: PeerId, number: int, sequence: int, body: Body) -> bytes:
    """What the origin signs."""
    return digest("grapevine relayed v1", swarm, origin, target, number, sequence, hashlib.sha256(body).digest())
