"""How members of a cell that have no edge speak to each other: through the centre of their star."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Reached:
    """The sender begins `round`: for neighbours that are in other stars, or in none."""

    round: int


def relayed_statement(swarm: bytes, origin: PeerId, target: PeerId, number: int, sequence: int, body: Body) -> bytes:
    """What the origin signs."""
    return digest("grapevine relayed v1", swarm, origin, target, number, sequence, hashlib.sha256(body).digest())
