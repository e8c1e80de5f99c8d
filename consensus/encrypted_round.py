"""The homomorphic round: a keeper A reads the sum of what a relay B adds up without being able to read it.

              KEYING ──────────────► AWAITING TOTAL ──► DECRYPTING ─┐
    keeper      key pair ─► all           ▲                         │ mean ─► all
                  │                       │ sum                     ▼
    relay     AWAITING KEY ─► ENCRYPTING ─► GATHERING ─► ADDING ─► AWAITING MEAN ─► CLOSED
                                              ▲ ciphertext
    others    AWAITING KEY ─► ENCRYPTING ─────┴──────────────────► AWAITING MEAN ─► CLOSED

The four waves (key, ciphertexts, sum, mean) each end `deadline_s` after the one before, counted from the start. The
relay adds whoever came, and at least `least`; below that, and wherever keeper or relay are missing, the round is void.
The keeper adds its own weighted vector to what it has decrypted: it never leaves it in another form than the mean.

Who learns what, if all follow the protocol: A the sum of the others, B nothing beyond the mean, the others the mean.
A and B together read everybody. What holds only as long as A and B follow the protocol, and is not noticed if they do
not:
- A can publish any vector as the mean, and different ones to different members.
- B can leave members out, count them twice, or add any vector. (So can every member, by what it encrypts: there is no
  proof of norms in this mode.)
- B can forward the ciphertext of one member as if it were a sum. A then reads that member, and with A's vector added to
  it, all do.
Roles rotate with the number of the round, so that each pair has its turn and no longer. What is noticed is bytes that
no honest member sends; and every word is signed, so that a contradiction is evidence for those who compare notes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from consensus.compute import Computed, Jobs, SecretEffect, SecretEvent
from consensus.effects import Close, Down, Heard, Send, Tick, Up, WakeAt
from consensus.encrypted_checks import wrong_with
from consensus.encrypted_messages import (
    NO_KEY,
    Ciphertext,
    EncryptedMessage,
    Opened,
    RoundKey,
    Total,
    key_digest,
    pack_counted,
    statement,
    unpack_counted,
)
from consensus.encrypted_states import WAVES, State
from consensus.encrypted_terms import Add, Decrypt, Encrypt, EncryptedTerms, MakeKeys
from consensus.errors import PlanError, RemoteFault
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from consensus.signer import Signer
from consensus.sum_outcome import sum_outcome
from crypto.field import Signed
from crypto.homomorphic import KeyPair
from crypto.identity import PeerId

_Signed = TypeVar("_Signed", RoundKey, Ciphertext, Total, Opened)


_NOTHING: Vector = np.empty(0, dtype=np.float32)


class EncryptedRound:
    """The part of member `me` in one round; its vector float32 (d,) is read from until the round is closed.

    `noise`, int32 (d,) on the lattice of the scheme, is added to it. With `vector` None the member brings nothing: it
    keeps or relays where it is its turn, says that nobody need wait for it, and learns the mean. `absent` are not
    waited for, and without keeper or relay the round is void at once. Raises PlanError for a member that is none, and
    `ValueError` for what the scheme cannot carry.
    """

    def __init__(
        self,
        me: PeerId,
        terms: EncryptedTerms,
        vector: Vector | None,
        signer: Signer,
        absent: Collection[PeerId] = (),
        noise: Signed | None = None,
    ) -> None:
        if me not in terms.cell:
            raise PlanError(f"round {terms.number}: {me} is not in the cell")
        self._seed = signer.randbytes(32)
        self._encoded: npt.NDArray[Any] | None = None
        """What the keeper adds to the sum that it decrypts."""
        if vector is not None:
            if vector.shape != (terms.size,):
                raise ValueError(f"round {terms.number}: {me} has a vector {vector.shape}, expected ({terms.size},)")
            encoded = terms.scheme.encode(vector, terms.weight, self._seed, noise)  # refused now, not in mid-round
            self._encoded = encoded if me == terms.keeper else None
        self.number = terms.number
        self.outcome: PrivateOutcome | None = None
        self._me, self._terms, self._signer = me, terms, signer
        self._vector, self._noise = vector, noise
        self._idle: set[PeerId] = set()
        """Who said that it brings nothing."""
        self._state = State.NEW
        self._started_at = math.nan
        self._away = set(absent)
        self._hopeless = set(absent)  # who goes later may come back in time
        self._culprits: dict[PeerId, str] = {}
        self._jobs = Jobs()
        self._said: dict[PeerId, list[EncryptedMessage]] = {peer: [] for peer in terms.cell if peer != me}
        self._pair: KeyPair | None = None
        self._key: RoundKey | None = None
        self._ciphertexts: dict[PeerId, Ciphertext] = {}
        self._own: Ciphertext | None = None
        self._packed = b""
        self._total: Total | None = None
        self._exposed = False

    @property
    def awaited(self) -> tuple[PeerId, ...]:
        """Whom the present state waits for, sorted."""
        match self._state:
            case State.GATHERING:
                heard = {self._terms.keeper, self._me} | self._ciphertexts.keys() | self._idle
                awaited = set(self._terms.cell) - heard
            case _:
                awaited = {peer for peer in (self._needed(),) if peer is not None}
        return tuple(sorted(awaited - self._away - self._culprits.keys()))

    def start(self, now: float) -> list[SecretEffect]:
        """Begin; `now` in seconds on the clock that `receive` will show. Raises `RuntimeError` the second time."""
        if self._state is not State.NEW:
            raise RuntimeError(f"round {self.number} was started before")
        self._started_at = now
        if self._me == self._terms.keeper:
            self._state = State.KEYING
            effects = self._jobs.ask(MakeKeys(self._terms.scheme), self._announce)
        else:
            self._state = State.AWAITING_KEY
            effects = []
            if self._vector is None and self._me != self._terms.relay:
                self._state = State.AWAITING_MEAN
                effects = self._say([self._terms.relay], Ciphertext(self.number, NO_KEY, b"", b""))
        return [*effects, *self._advance(now), *self._alarm()]

    def receive(self, event: SecretEvent, now: float) -> list[SecretEffect]:
        """What to do about `event`.

        Raises `RemoteFault` for what no honest member sends; nothing of the culprit counts from then on. A `Tick` after
        it saves the wait for a deadline, where the culprit alone was awaited. What comes before the start is for the
        caller to keep: `RuntimeError`.
        """
        if self._state is State.NEW:
            raise RuntimeError(f"round {self.number} has not started: keep {type(event).__name__} until it has")
        effects: list[SecretEffect] = []
        before = self._state
        match event:
            case Heard(peer, message):
                effects = self._hear(peer, message)
            case Computed(ticket, result):
                effects = self._jobs.done(ticket, result)
            case Up(peer):
                self._away.discard(peer)
                self._hopeless.discard(peer)
                effects = [Send(peer, message) for message in self._said.get(peer, ())]
            case Down(peer):
                self._away.add(peer)
            case Tick():
                pass
        effects += self._advance(now)
        return [*effects, *self._alarm()] if self._state is not before else effects

    # --- time -----------------------------------------------------------------------------------------------------

    def _alarm(self) -> list[SecretEffect]:
        return [WakeAt(self._deadline())] if self._state is not State.CLOSED else []

    def _deadline(self) -> float:
        return self._started_at + WAVES[self._state] * self._terms.deadline_s

    def _advance(self, now: float) -> list[SecretEffect]:
        """Leave the present state if its wait is over."""
        if self._state is State.CLOSED:
            return []
        late = now >= self._deadline()
        if self._state is State.GATHERING and len(self._ciphertexts) + (self._own is not None) >= self._terms.least:
            return self._add() if late or not self.awaited else []
        if late:
            return self._void(f"{self._state.name.lower().replace('_', ' ')} took until the deadline")
        if (peer := self._needed()) in self._hopeless or peer in self._culprits:
            return self._void(f"there is no round without {peer}")
        return []

    def _needed(self) -> PeerId | None:
        """Without whom the present state leads nowhere."""
        match self._state:
            case State.AWAITING_KEY | State.AWAITING_MEAN:
                return self._terms.keeper
            case State.AWAITING_TOTAL:
                return self._terms.relay
        return None

    # --- hearing --------------------------------------------------------------------------------------------------

    def _hear(self, peer: PeerId, message: object) -> list[SecretEffect]:
        if not isinstance(message, EncryptedMessage) or message.round != self.number:
            return []  # of another round or kind of round
        if peer not in self._said or peer in self._culprits or self._state is State.CLOSED:
            return []
        terms = self._terms
        match message:
            case RoundKey() if peer == terms.keeper and self._state is State.AWAITING_KEY:
                return self._hear_key(message)
            case Ciphertext() if self._me == terms.relay and peer != terms.keeper:
                return self._hear_ciphertext(peer, message)
            case Total() if peer == terms.relay and self._state is State.AWAITING_TOTAL:
                return self._hear_total(message)
            case Opened() if peer == terms.keeper:
                return self._hear_mean(message)
        return []  # a word that was said before, or to somebody else

    def _judge(self, peer: PeerId, message: EncryptedMessage) -> None:
        """Raise `RemoteFault` unless `peer` signed `message` and there is nothing wrong with it."""
        reason: str | None = "is not signed by its sender for this round"
        if self._signer.verify(peer, statement(self._terms.context, message), message.signature):
            reason = wrong_with(self._terms, message)
        if reason is not None:
            self._culprits[peer] = f"{type(message).__name__}: {reason}"
            raise RemoteFault(peer, f"round {self.number} {type(message).__name__}: {reason}")

    def _hear_key(self, message: RoundKey) -> list[SecretEffect]:
        self._judge(self._terms.keeper, message)
        self._key = message
        if self._vector is None:
            self._state = State.GATHERING
            self._drop_strays()
            return []
        self._state = State.ENCRYPTING
        terms = self._terms
        job = Encrypt(terms.scheme, bytes(message.body), self._vector, terms.weight, self._seed, self._noise)
        return self._jobs.ask(job, self._encrypted)

    def _hear_ciphertext(self, peer: PeerId, message: Ciphertext) -> list[SecretEffect]:
        if self._state not in (State.AWAITING_KEY, State.ENCRYPTING, State.GATHERING):
            return []
        if peer in self._ciphertexts or peer in self._idle:
            return []
        self._judge(peer, message)
        if not len(message.body):
            self._idle.add(peer)
            return []
        self._ciphertexts[peer] = message
        self._away.discard(peer)
        self._drop_strays()
        return []

    def _drop_strays(self) -> None:
        """Set aside what was encrypted to another key than ours: which of keeper and member lied, we cannot tell."""
        if self._key is None:
            return
        key = key_digest(self._key.body)
        strays = {peer for peer, message in self._ciphertexts.items() if message.key != key}
        for peer in strays:
            del self._ciphertexts[peer]
        self._away |= strays

    def _hear_total(self, message: Total) -> list[SecretEffect]:
        self._judge(self._terms.relay, message)
        self._total = message
        self._state = State.DECRYPTING
        secret = cast(KeyPair, self._pair).secret
        return self._jobs.ask(
            Decrypt(self._terms.scheme, secret, bytes(message.body), self._terms.size), self._decrypted
        )

    def _hear_mean(self, message: Opened) -> list[SecretEffect]:
        self._judge(self._terms.keeper, message)
        if not message.vector.size:
            return self._void("the keeper got no sum")
        return self._close(message.vector, self._counted(message.counted), None)

    def _counted(self, packed: bytes) -> tuple[PeerId, ...]:
        """The members of a set that was found to be one."""
        return unpack_counted(self._terms.cell, packed) or ()

    # --- doing ----------------------------------------------------------------------------------------------------

    def _announce(self, result: object) -> list[SecretEffect]:
        self._pair = cast(KeyPair, result)
        self._state = State.AWAITING_TOTAL
        return self._say(self._said, RoundKey(self.number, b"", self._pair.public))

    def _encrypted(self, result: object) -> list[SecretEffect]:
        key = key_digest(cast(RoundKey, self._key).body)
        ciphertext = self._signed(Ciphertext(self.number, key, b"", cast(bytes, result)))
        if self._me == self._terms.relay:
            self._state = State.GATHERING
            self._own = ciphertext
            self._drop_strays()
            return []
        self._state = State.AWAITING_MEAN
        self._exposed = True
        return self._say([self._terms.relay], ciphertext)

    def _add(self) -> list[SecretEffect]:
        self._state = State.ADDING
        counted = self._ciphertexts | ({} if self._own is None else {self._me: self._own})
        bodies = tuple(bytes(counted[peer].body) for peer in sorted(counted))
        job = Add(self._terms.scheme, bodies, self._terms.size)
        self._packed = pack_counted(self._terms.cell, counted)
        self._ciphertexts.clear()
        return self._jobs.ask(job, self._added)

    def _added(self, result: object) -> list[SecretEffect]:
        self._state = State.AWAITING_MEAN
        self._exposed = True
        return self._say([self._terms.keeper], Total(self.number, self._packed, b"", cast(bytes, result)))

    def _decrypted(self, result: object) -> list[SecretEffect]:
        terms = self._terms
        counted = self._counted(cast(Total, self._total).counted)
        total = cast(Vector, result).astype(np.float64)
        if self._encoded is not None:
            counted = (*counted, self._me)
            total += terms.scheme.decode(self._encoded)
        mean = (total / (terms.weight * len(counted))).astype(np.float32)
        self._exposed = True
        opened = Opened(self.number, pack_counted(terms.cell, counted), b"", mean)
        return self._say(self._said, opened) + self._close(mean, tuple(sorted(counted)), None)

    def _say(self, peers: Collection[PeerId], message: _Signed) -> list[SecretEffect]:
        signed = self._signed(message)
        for peer in peers:
            self._said[peer].append(signed)
        return [Send(peer, signed) for peer in sorted(peers)]

    def _signed(self, message: _Signed) -> _Signed:
        return replace(message, signature=self._signer.sign(statement(self._terms.context, message)))

    # --- the end --------------------------------------------------------------------------------------------------

    def _void(self, why: str) -> list[SecretEffect]:
        effects: list[SecretEffect] = []
        if self._me == self._terms.keeper:  # so that nobody waits for a mean that will not come
            effects = self._say(self._said, Opened(self.number, pack_counted((), ()), b"", _NOTHING))
        return effects + self._close(None, (), why)

    def _close(self, mean: Vector | None, accepted: Sequence[PeerId], void: str | None) -> list[SecretEffect]:
        absent = set(self._terms.cell) - set(accepted) - {self._me} if mean is not None else set(self.awaited)
        self._state = State.CLOSED
        self._pair = self._total = None  # the secret key ends with the round
        self._ciphertexts.clear()
        self._jobs.forget()
        self.outcome = sum_outcome(
            self.number, mean, accepted, void, absent=absent, culprits=self._culprits, exposed=self._exposed
        )
        return [Close(self.outcome)]
