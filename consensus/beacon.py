"""The beacon: seeds that nobody chooses, one an epoch, agreed on by all nodes while rounds go on.

    second half of epoch e    a session draws the seed of epoch e + 1 (`consensus.beacon_session`)
    meanwhile                 what its nodes say travels as rumours over the graph (`consensus.rumours`)
    afterwards                neighbours that know a seed show its proof to those that ask or come up

A node that was away takes a seed from whichever neighbour shows it first, and need not count voices or trust anybody:
a proof holds the signatures of Q = ⌊(n + b + 1) / 2⌋ + 1 nodes under the nonces, which no b + 1 liars can come by for a
second set of nonces. What a lying neighbour can do is to say nothing; then another one must be up.

A session that comes to nothing leaves the last seed in force (`consensus.seeds`), and `failed` says so. A node that
started in the middle of a session takes no part in it, for it may have said things that it no longer knows of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from consensus.adjacency import Adjacency
from consensus.beacon_messages import MAX_NODES, BeaconMessage, Inventory, Rumour, Said, SeedProof, pack, unpack
from consensus.beacon_session import BeaconSession, Drawn, drawn
from consensus.errors import PlanError
from consensus.notary import Notary
from consensus.private_messages import BodyError
from consensus.rumours import Rumours
from consensus.signer import Signer
from crypto.commitment import digest
from crypto.identity import PeerId

_NONCE_BYTES = 32
_TICKS = 8
"""Inventories a deadline while a session is open."""
_PROOFS_KEPT = 3
_REACH = 2
"""Epochs that a session may last, and that neighbours may be apart."""

Posting = tuple[PeerId, BeaconMessage]
"""A message for a neighbour."""


@dataclass(slots=True)
class _Epoch:
    """What is kept of a session."""

    rumours: Rumours
    session: BeaconSession | None = None
    """None: we only listen, and pass on."""
    answered: dict[int, float] = field(default_factory=dict)
    """When a neighbour's inventory was last answered."""
    tick_at: float = -math.inf


class Beacon:
    """The beacon of node `order[me]`, which starts with round `first_round`. Raises PlanError for too many nodes.

    It does nothing by itself: tell it of each round that begins, of neighbours and what they say, and of the time;
    each answer is what to send. `learned`, `failed` and `blamed` fill up for the caller to empty.
    """

    def __init__(
        self,
        me: int,
        order: Sequence[PeerId],
        graph: Adjacency,
        signer: Signer,
        *,
        swarm: bytes,
        epoch_rounds: int,
        deadline_s: float,
        first_round: int = 0,
    ) -> None:
        if len(order) > MAX_NODES:
            what = f"a beacon needs n <= {MAX_NODES} nodes: n={len(order)}"
            raise PlanError(f"{what}; each hears from each, so that its cost grows with n²")
        self.learned: list[Drawn] = []
        """Seeds, each once."""
        self.failed: list[tuple[int, str]] = []
        """(epoch, why it goes on with an older seed)"""
        self.blamed: list[tuple[PeerId, str]] = []
        """Who said what no honest node says."""
        self._me = me
        self._order = tuple(order)
        self._places = {peer: place for place, peer in enumerate(self._order)}
        self._graph = graph
        self._neighbours = [self._order[node] for node in graph.of(me).tolist()]
        self._signer = signer
        self._swarm = swarm
        self._epoch_rounds = epoch_rounds
        self._deadline_s = deadline_s
        self._first_round = first_round
        self._number = first_round
        self._open: dict[int, _Epoch] = {}
        self._proofs: dict[int, SeedProof] = {}
        """By the epoch whose session they are of: that before the seed's."""
        self._silent: frozenset[int] = frozenset()
        """Who made no commitment the last time, and is not waited for."""
        self._shown: dict[int, float] = {}
        """When a neighbour last showed a proof that was none."""

    # --- what happens -----------------------------------------------------------------------------------------------

    def reach(self, number: int, now: float) -> list[Posting]:
        """Round `number` begins here."""
        before, self._number = self._number, number
        epoch = number // self._epoch_rounds
        if epoch > before // self._epoch_rounds and max(self._proofs, default=-1) < epoch - 1:
            self.failed.append(
                (epoch, f"no seed was agreed on in epoch {epoch - 1}: the last one known stays in force")
            )
        for old in [one for one in self._open if one < epoch - _REACH]:
            del self._open[old]
        half = epoch * self._epoch_rounds + self._epoch_rounds // 2
        if number >= half and not self._settled(epoch):
            opened = self._epoch(epoch)
            # Who starts later than a session does may have spoken in it before, and would contradict itself.
            if opened.session is None and self._first_round < max(half, 1):
                self._start(epoch, opened, now)
        return self.advance(now)

    def up(self, peer: PeerId, now: float) -> list[Posting]:  # noqa: ARG002 - of one form with the others
        """Neighbour `peer` came up: it is shown what it may have missed."""
        shown: list[Posting] = [(peer, proof) for proof in self._proofs.values()]
        return shown + [(peer, self._open[epoch].rumours.inventory()) for epoch in self._undecided()]

    def hear(self, peer: PeerId, message: BeaconMessage, now: float) -> list[Posting]:
        """Neighbour `peer` says something. What is not about these epochs is passed over."""
        via, epoch = self._places.get(peer), self._number // self._epoch_rounds
        # A proof of a later epoch is what a node that was away is waiting for.
        later = isinstance(message, SeedProof) and message.epoch > epoch
        if via is None or not (later or abs(message.epoch - epoch) <= _REACH):
            return []
        match message:
            case Rumour():
                return self._hear_rumour(via, message, now)
            case Inventory():
                return self._answer(via, message, now)
            case SeedProof():
                self._hear_proof(via, message, now)
        return []

    def advance(self, now: float) -> list[Posting]:
        """Do what time has come for."""
        postings: list[Posting] = []
        for epoch, opened in sorted(self._open.items()):
            postings += self._drive(epoch, opened, now)
            if not self._settled(epoch) and now >= opened.tick_at:
                if opened.tick_at > -math.inf:
                    postings += [(peer, opened.rumours.inventory()) for peer in self._neighbours]
                opened.tick_at = now + self._deadline_s / _TICKS
        return postings

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens; infinite where nothing is under way."""
        times = [opened.tick_at for opened in (self._open[epoch] for epoch in self._undecided())]
        times += [
            max(now, opened.session.wake_at(now))
            for opened in (self._open[epoch] for epoch in self._undecided())
            if opened.session is not None
        ]
        return min(times, default=math.inf)

    # --- sessions ---------------------------------------------------------------------------------------------------

    def _settled(self, epoch: int) -> bool:
        """Whether there is nothing more to learn about a session: its seed is known, or enough later ones are."""
        return epoch in self._proofs or (len(self._proofs) == _PROOFS_KEPT and epoch < min(self._proofs))

    def _undecided(self) -> list[int]:
        return [epoch for epoch in sorted(self._open) if not self._settled(epoch)]

    def _notary(self, epoch: int) -> Notary:
        context = digest("grapevine beacon v1", self._swarm, epoch)
        return Notary(self._order, self._me, epoch, context, self._signer.sign, self._signer.verify)

    def _epoch(self, epoch: int) -> _Epoch:
        if epoch not in self._open:
            rumours = Rumours(epoch, self._me, self._order, self._graph, self._swarm, self._signer)
            self._open[epoch] = _Epoch(rumours)
        return self._open[epoch]

    def _start(self, epoch: int, opened: _Epoch, now: float) -> None:
        opened.session = BeaconSession(self._notary(epoch), self._signer.randbytes(_NONCE_BYTES), self._deadline_s)
        everyone = frozenset(range(len(self._order)))
        opened.session.start(now, everyone - (self._silent - opened.rumours.heard_of()))
        self._recall(opened)

    def _recall(self, opened: _Epoch) -> None:
        """Hear again what came before its stage. A session passes over what it knows."""
        for rumour in opened.rumours.all():
            said = self._read(rumour)
            if said is not None and opened.session is not None and opened.session.listens(said):
                opened.session.hear(rumour.origin, said)

    def _drive(self, epoch: int, opened: _Epoch, now: float) -> list[Posting]:
        session = opened.session
        if session is None:
            return []
        postings: list[Posting] = []
        before = session.commitments
        for said in session.advance(now, self._number):
            postings += self._say(opened, said)
        if before is None and session.commitments is not None:
            self._silent = frozenset(range(len(self._order))) - session.commitments.keys()
            self._recall(opened)
            postings += self._drive(epoch, opened, now)
        self.blamed += [(self._order[culprit], reason) for culprit, reason in session.blamed]
        session.blamed.clear()
        if not self._settled(epoch) and (proof := session.proof) is not None:
            self._learn(proof)
        return postings

    def _say(self, opened: _Epoch, said: Said) -> list[Posting]:
        rumour = opened.rumours.post(pack(said))
        return [] if rumour is None else [(peer, rumour) for peer in self._neighbours]

    def _learn(self, proof: SeedProof) -> bool:
        found = drawn(self._notary(proof.epoch), proof, self._epoch_rounds)
        if found is None:
            return False
        self._proofs[proof.epoch] = proof
        self.learned.append(found)
        while len(self._proofs) > _PROOFS_KEPT:
            del self._proofs[min(self._proofs)]
        return True

    # --- hearing ----------------------------------------------------------------------------------------------------

    def _hear_rumour(self, via: int, rumour: Rumour, now: float) -> list[Posting]:
        # What others say may become part of what we say: padded by a liar, it would use up our own room in rumours, or
        # make a proof of ours longer than neighbours take.
        if len(rumour.body) > most_bytes(len(self._order)):
            return []
        opened = self._epoch(rumour.epoch)
        if not opened.rumours.hear(rumour):
            return []
        said = self._read(rumour)
        if said is None:
            self.blamed.append((self._order[rumour.origin], "beacon: says what cannot be read"))
            return []
        postings: list[Posting] = [(self._order[node], rumour) for node in opened.rumours.onward(via, rumour)]
        if opened.session is not None and opened.session.listens(said):
            opened.session.hear(rumour.origin, said)
        return postings + self.advance(now)

    def _read(self, rumour: Rumour) -> Said | None:
        try:
            return unpack(rumour.epoch, rumour.body)
        except BodyError:
            return None

    def _answer(self, via: int, inventory: Inventory, now: float) -> list[Posting]:
        peer = self._order[via]
        if inventory.epoch in self._proofs:
            return [(peer, self._proofs[inventory.epoch])]
        opened = self._open.get(inventory.epoch)
        if opened is None or now < opened.answered.get(via, -math.inf) + self._deadline_s / (2 * _TICKS):
            return []  # who asks all the time is answered now and then
        opened.answered[via] = now
        return [(peer, rumour) for rumour in opened.rumours.missing(inventory)]

    def _hear_proof(self, via: int, proof: SeedProof, now: float) -> None:
        if self._settled(proof.epoch):
            return
        if now < self._shown.get(via, -math.inf) + self._deadline_s / (2 * _TICKS):
            return  # to check one costs signatures
        if len(proof.body) > most_bytes(len(self._order)) or not self._learn(proof):
            self._shown[via] = now
            self.blamed.append((self._order[via], f"beacon: shows a seed of epoch {proof.epoch + 1} without a proof"))


def most_bytes(n: int) -> int:
    """Of the body of any message of an honest node: n items, each with a signature, a vote and a first vote."""
    return 384 * (n + 1)
