"""How all nodes draw the seed of the next epoch: each commits to a nonce, and reveals it once commitments are fixed.

    commit   agreement on one set of commitments, of at least Q nodes, more than b of them honest
    reveal   agreement on one set of nonces behind them, of more than b nodes
    seed     the digest of the nonces agreed on

An honest nonce that is revealed goes into the seed, and nobody knew it when the set of commitments was decided: so
nobody can choose the seed. What is left to a liar is to commit and, once it has seen all other nonces, not to reveal:
it picks one of *two* seeds that it sees, one bit of bias; k liars together pick one of 2^k. It buys little: odds of
1 in N that a draw serves them become 2^k in N at most. Taking it away needs nonces that others can open (shares of
each, and keys between all pairs of nodes), or a delay that nobody can shorten; neither is here.

**Bounds.** n nodes, b = ⌊(n − 2) / 3⌋ of which may do anything, and Q = ⌊(n + b + 1) / 2⌋ + 1. Two sets of Q share more
than b + 1 nodes, so that even one liar more than b never gives two seeds (`consensus.agreement`); n − b >= Q, so that b
silent or lying nodes do not keep the others from a seed, while messages arrive in half a deadline, and views that liars
spoil (by two commitments, or as leaders: two deadlines each) end before the session does, two epochs later. Else that
seed is wanting, and the last one stays in force. n = 8: b = 2, Q = 6.

The seed comes into force at a round that follows from what was agreed, never from when a node heard of it: at the first
round of its epoch, or, where a crashed node held the agreement up, a margin after the round that honest nodes said they
had reached when they revealed.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from consensus.agreement import Agreement, Outgoing
from consensus.beacon_messages import Said, SeedProof, pack
from consensus.conviction import Certainty, Proof
from consensus.notary import Notary
from consensus.private_messages import Body, Bundle, Item, Role, Stage, Vote
from consensus.quorum import Quorum
from crypto.commitment import digest

_NONCE_BYTES = 32
_REVEAL = struct.Struct(f">{_NONCE_BYTES}sI")
_PASSED_ON = 16
"""Items of others that a node repeats, of the rumours that it has."""
_COMMIT_STAGE, _REVEAL_STAGE = Stage.COMMIT, Stage.NONCE_1


def tolerated(n: int) -> int:
    """b: how many of n nodes may do anything."""
    return max(0, (n - 2) // 3)


def quorum_of(n: int) -> Quorum:
    """Safe against one liar more than `tolerated`."""
    return Quorum(n, tolerated(n) + 1, n - Quorum(n, tolerated(n) + 1, 0).size)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A seed (32 bytes) for an epoch, in force from round `start` on."""

    epoch: int
    value: bytes
    start: int


class BeaconSession:
    """What node `notary.me` does in one epoch, from the round on with which it is started. Speaks in `Said`."""

    def __init__(self, notary: Notary, nonce: bytes, deadline_s: float) -> None:
        self.blamed: list[tuple[int, str]] = []
        """(node, what it did that no honest one does)"""
        self._notary = notary
        self._nonce = nonce
        self._deadline_s = deadline_s
        self._quorum = quorum_of(len(notary.roster))
        first_leader = notary.number
        self._agreements = {
            stage: Agreement(notary, stage, self._quorum, first_leader, self._blame, largest=largest)
            for stage, largest in ((_COMMIT_STAGE, _NONCE_BYTES), (_REVEAL_STAGE, _REVEAL.size))
        }
        self._told: set[Stage] = set()
        self._passed_on = 0
        self._said: set[bytes] = set()
        self._out: list[Said] = []

    @property
    def commitments(self) -> Mapping[int, Item] | None:
        """Those agreed on, by node."""
        return self._agreements[_COMMIT_STAGE].decided

    @property
    def proof(self) -> SeedProof | None:
        """What shows the seed to nodes that did not take part."""
        if self._agreements[_REVEAL_STAGE].decided is None:
            return None
        for _, message in self._agreements[_REVEAL_STAGE].answer(self._notary.me):
            if isinstance(message, Bundle) and message.role == Role.DECISION:
                return SeedProof(self._notary.number, message.body)
        return None

    def start(self, now: float, expected: Collection[int]) -> None:
        """Commit. `expected` are waited for until the deadline."""
        item = self._notary.item(_COMMIT_STAGE, _commitment(self._notary, self._notary.me, self._nonce))
        self._agreements[_COMMIT_STAGE].enter(
            now,
            item,
            deadline_s=self._deadline_s,
            expected=expected,
            least=self._quorum.size,
            check=lambda _, item: None if len(item.body) == _NONCE_BYTES else f"commits in {len(item.body)} bytes",
        )

    def listens(self, said: Said) -> bool:
        """Whether the stage that it is about has begun."""
        return said.stage in self._agreements and self._agreements[Stage(said.stage)].entered

    def hear(self, origin: int, said: Said) -> None:
        """Take what `origin` said, in a stage that has begun."""
        agreement = self._agreements[Stage(said.stage)]
        match said:
            case Item():
                agreement.hear_item(origin, said)
            case Vote():
                self._collect(agreement.hear_vote(origin, said))
            case Bundle() if agreement.decided is None:
                agreement.hear_bundle(origin, said)
            case Bundle() if said.role != Role.DECISION:
                self._tell(agreement)

    def advance(self, now: float, number: int) -> list[Said]:
        """Do what can be done now, in round `number`. What it returns is to be said to all."""
        commit, reveal = self._agreements.values()
        self._collect(commit.advance(now, ()))
        if commit.decided is not None and not reveal.entered:
            self._reveal(commit.decided, now, number)
        self._collect(reveal.advance(now, ()))
        out, self._out = self._out, []
        return out

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens."""
        return min(one.wake_at(now) for one in self._agreements.values())

    def _reveal(self, commitments: Mapping[int, Item], now: float, number: int) -> None:
        me = self._notary.me
        mine = self._notary.item(_REVEAL_STAGE, _REVEAL.pack(self._nonce, number)) if me in commitments else None
        self._agreements[_REVEAL_STAGE].enter(
            now,
            mine,
            deadline_s=self._deadline_s,
            expected=commitments.keys(),
            least=least_reveals(self._quorum.members),
            check=lambda author, item: _wrong_reveal(self._notary, commitments.get(author), item),
        )

    def _collect(self, outgoing: Collection[Outgoing]) -> None:
        # Nobody need fetch anything: rumours reach everybody, and a new view shows what its locks stand for. What is
        # meant for one is said to all, once. Items of others that are passed on show that somebody signed two.
        for _, message in outgoing:
            if not isinstance(message, Item | Vote | Bundle) or (packed := pack(message)) in self._said:
                continue
            foreign = isinstance(message, Item) and message.author != self._notary.me
            self._passed_on += foreign
            if not foreign or self._passed_on <= _PASSED_ON:
                self._said.add(packed)
                self._out.append(message)

    def _tell(self, agreement: Agreement) -> None:
        """Somebody is in a later view of a stage that is over: the decision is said once, to all."""
        if agreement.stage not in self._told:
            self._told.add(agreement.stage)
            self._collect(agreement.answer(self._notary.me))

    def _blame(self, culprit: int, reason: str, _proof: Proof, _certainty: Certainty | None = None) -> None:
        self.blamed.append((culprit, f"beacon: {reason}"))


def drawn(notary: Notary, proof: SeedProof, epoch_rounds: int) -> Drawn | None:
    """The seed that `proof` shows, checked against the hands of Q nodes; None where it shows none."""
    quorum = quorum_of(len(notary.roster))
    agreement = Agreement(notary, _REVEAL_STAGE, quorum, 0, lambda *_: None)
    # Q signatures say that more than b honest nodes saw these nonces fit commitments: there is nothing else to check.
    agreement.enter(0.0, None, deadline_s=1.0, expected=(), least=least_reveals(quorum.members), check=_wrong_form)
    agreement.hear_bundle(notary.me, Bundle(notary.number, _REVEAL_STAGE, 0, Role.DECISION, proof.body))
    if agreement.decided is None:
        return None
    return seed_of(notary, agreement.decided, epoch_rounds)


def seed_of(notary: Notary, reveals: Mapping[int, Item], epoch_rounds: int) -> Drawn:
    """The seed of the next epoch, from the reveals agreed on."""
    nonces: list[int | bytes] = []
    reached = []
    for author, item in sorted(reveals.items()):
        nonce, number = _REVEAL.unpack(item.body)
        nonces += [author, nonce]
        reached.append(number)
    # More nodes than may lie say that they have reached this round: an honest one among them.
    furthest = sorted(reached, reverse=True)[tolerated(len(notary.roster))]
    epoch = notary.number + 1
    margin = max(2, epoch_rounds // 4)
    start = min(max(epoch * epoch_rounds, furthest + margin), (epoch + 1) * epoch_rounds)
    return Drawn(epoch, digest("grapevine seed v1", notary.context, *nonces), start)


def least_reveals(n: int) -> int:
    """So many nonces have an honest one among them."""
    return tolerated(n) + 1


def _commitment(notary: Notary, author: int, nonce: bytes) -> bytes:
    return digest("grapevine nonce v1", notary.context, author, nonce)


def _wrong_form(_author: int, item: Item) -> str | None:
    return None if len(item.body) == _REVEAL.size else f"reveals in {len(item.body)} bytes"


def _wrong_reveal(notary: Notary, commitment: Item | None, item: Item) -> str | None:
    if commitment is None:
        return "reveals a nonce that it did not commit to"
    if (wrong := _wrong_form(item.author, item)) is not None:
        return wrong
    nonce, _ = _REVEAL.unpack(item.body)
    if _same(_commitment(notary, item.author, nonce), commitment.body):
        return None
    return "reveals another nonce than it committed to"


def _same(one: bytes, other: Body) -> bool:
    return one == bytes(other)
