"""What the members of a cell have agreed on before an encrypted round begins, and its heavy work."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from consensus.errors import PlanError
from consensus.messages import Vector
from crypto.commitment import digest
from crypto.field import Signed
from crypto.homomorphic import MAX_MEMBERS, PUBLIC_KEY_BYTES, KeyPair, Scheme
from crypto.identity import PeerId

MIN_CIPHERTEXTS = 2


@dataclass(frozen=True)
class EncryptedTerms:
    """The same on all members. Raises PlanError with the bound that does not hold."""

    cell: tuple[PeerId, ...]
    """The sorted roster."""
    number: int
    """Of the round."""
    size: int
    """d."""
    scheme: Scheme
    """Its lattice, if it has one, is for updates as they are."""
    swarm: bytes = bytes(32)
    layout: bytes = bytes(32)
    epoch: int = 0
    deadline_s: float = 30.0
    """How long each of the four waves may take."""
    least: int = MIN_CIPHERTEXTS
    """Fewest ciphertexts that the relay adds up, its own included: the keeper reads their sum, and what remains of it
    when it subtracts those of its friends."""

    def __post_init__(self) -> None:
        members = len(self.cell)
        if list(self.cell) != sorted(set(self.cell)) or not 3 <= members <= MAX_MEMBERS:
            raise PlanError(
                f"an encrypted round needs a keeper, a relay and a third: a sorted roster of 3 to {MAX_MEMBERS}, "
                f"got {members}"
            )
        if not MIN_CIPHERTEXTS <= self.least < members:
            raise PlanError(f"{MIN_CIPHERTEXTS} <= least < m is needed: least={self.least}, m={members}")
        if self.number < 0 or self.size < 1 or not 0 < self.deadline_s < math.inf:
            raise PlanError(
                "round >= 0, d >= 1 and a finite deadline > 0 are needed: "
                f"{self.number}, {self.size}, {self.deadline_s}"
            )
        if self.scheme.fixed is not None and self.scheme.fixed.members < members:
            room = self.scheme.fixed.members
            raise PlanError(f"room for a sum of m = {members} is needed, the encoding has it for {room}")

    @property
    def weight(self) -> float:
        """What vectors are multiplied by before they are encrypted: without a lattice, so that no sum can wrap."""
        return 1 / len(self.cell) if self.scheme.fixed is None else 1.0

    @property
    def max_body(self) -> int:
        """Bytes of the largest body of a message of the round: what the wire must let through, and no more."""
        return max(PUBLIC_KEY_BYTES, self.scheme.body_bytes(self.size), 4 * self.size)

    @property
    def keeper(self) -> PeerId:
        """A: has the key, and reads the sum."""
        return self.cell[self.number % len(self.cell)]

    @property
    def relay(self) -> PeerId:
        """B ≠ A: has the ciphertexts, and adds them. In m(m − 1) rounds every ordered pair has its turn once."""
        members = len(self.cell)
        step = 1 + self.number // members % (members - 1)
        return self.cell[(self.number + step) % members]

    @cached_property
    def context(self) -> bytes:
        """The digest (32 bytes) of all of this: every signature of the round is about it."""
        return digest(
            "grapevine encrypted round v1",
            self.swarm, self.layout, self.epoch, self.number, self.size, self.least, *self.scheme.description,
            *self.cell,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MakeKeys:
    """The keeper's first job."""

    scheme: Scheme

    def run(self) -> KeyPair:
        """A fresh key pair."""
        return self.scheme.generate()


@dataclass(frozen=True, slots=True, eq=False)
class Encrypt:
    """A member's job. The key was found well-formed."""

    scheme: Scheme
    public: bytes
    vector: Vector = field(repr=False)
    weight: float
    seed: bytes = field(repr=False)
    noise: Signed | None = field(default=None, repr=False)

    def run(self) -> bytes:
        """The weighted vector with its noise, encrypted."""
        return self.scheme.encrypt(self.public, self.vector, self.weight, self.seed, self.noise)


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """The relay's job. The ciphertexts were found well-formed."""

    scheme: Scheme
    bodies: tuple[bytes, ...]
    size: int

    def run(self) -> bytes:
        """Their sum."""
        return self.scheme.add(self.bodies, self.size)


@dataclass(frozen=True, slots=True, eq=False)
class Decrypt:
    """The keeper's second job. The ciphertext was found well-formed."""

    scheme: Scheme
    secret: bytes = field(repr=False)
    body: bytes
    size: int

    def run(self) -> Vector:
        """The sum, float32 (d,)."""
        return self.scheme.decrypt(self.secret, self.body, self.size)
