"""What a node knows of its peers, folded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from node import journal
from node.view.history import History
from node.view.read_models import NAME_MAX, TEXT_MAX, EvidenceView, PeerView
from node.words import plain

PEERS_MAX: Final = 1024
EVIDENCE_MAX: Final = 256
REPUTATIONS_MAX: Final = 512
LATENCIES_MAX: Final = 64
FULL: Final = 100.0
Amount = TypeVar("Amount")


@dataclass(slots=True)
class _Peer:
    name: str
    peer_id: str = ""
    up: bool = False
    neighbour: bool = False
    reputation: float = FULL
    history: History[tuple[int, float]] = field(default_factory=lambda: History(REPUTATIONS_MAX))
    verdict: journal.VerdictName = "trusted"
    until: float = 0.0
    verdict_reason: str = ""
    quarantines: int = 0
    evidence: deque[EvidenceView] = field(default_factory=lambda: deque(maxlen=EVIDENCE_MAX))
    evidence_total: int = 0
    open_evidence: int = 0
    """How many of the newest are of the round under way."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_MAX))
    bytes_sent: int = 0
    bytes_received: int = 0
    last_bytes: int = 0
    rounds_present: int = 0
    rounds_absent: int = 0
    deadlines_missed: int = 0
    faults: int = 0
    proved_faults: int = 0

    def add_evidence(self, evidence: EvidenceView) -> None:
        # A fault that the watch weighs is told twice, by who saw it and by who judged it: the judgement stays.
        for place in range(1, min(self.open_evidence, len(self.evidence)) + 1):
            known = self.evidence[-place]
            if (known.round, known.kind, known.reason) == (evidence.round, evidence.kind, evidence.reason):
                self.evidence[-place] = evidence
                return
        self.evidence.append(evidence)
        self.evidence_total += 1
        self.open_evidence += 1

    def settle(self, number: int, reputation: float) -> None:
        for place in range(1, min(self.open_evidence, len(self.evidence)) + 1):
            self.evidence[-place] = replace(self.evidence[-place], before=self.reputation, after=reputation)
        self.open_evidence = 0
        self.reputation = reputation
        self.history.append((number, reputation))

    def view(self) -> PeerView:
        return PeerView(
            name=self.name,
            peer_id=self.peer_id,
            up=self.up,
            neighbour=self.neighbour,
            reputation=self.reputation,
            history=tuple(self.history),
            verdict=self.verdict,
            until=self.until,
            verdict_reason=self.verdict_reason,
            quarantines=self.quarantines,
            evidence=tuple(self.evidence),
            evidence_total=self.evidence_total,
            latency_ms=self.latencies[-1] if self.latencies else None,
            latency_history=tuple(self.latencies),
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            last_bytes=self.last_bytes,
            rounds_present=self.rounds_present,
            rounds_absent=self.rounds_absent,
            deadlines_missed=self.deadlines_missed,
            faults=self.faults,
            proved_faults=self.proved_faults,
        )


class Peers:
    """All peers that the journal names, the first `PEERS_MAX` of them."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self.passed_over = 0
        """Mentions of peers for which there was no room."""

    def views(self) -> dict[str, PeerView]:
        """By name: those on the peer list first, in its order."""
        ordered = sorted(self._peers.values(), key=lambda peer: not peer.neighbour)
        return {peer.name: peer.view() for peer in ordered}

    def view(self, name: str) -> PeerView | None:
        """One of them."""
        peer = self._peers.get(name)
        return None if peer is None else peer.view()

    @property
    def up(self) -> tuple[str, ...]:
        """Who is connected."""
        return tuple(peer.name for peer in self._peers.values() if peer.up)

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Who is on the peer list."""
        return tuple(peer.name for peer in self._peers.values() if peer.neighbour)

    @property
    def deadlines_missed(self) -> dict[str, int]:
        """Peer → rounds that waited for it in vain."""
        return {peer.name: peer.deadlines_missed for peer in self._peers.values() if peer.deadlines_missed}

    def start(self, neighbours: dict[str, str], *, resumed: bool) -> None:
        """A process began: nobody is connected, and the peer list is this. One that begins anew, without a checkpoint,
        holds nothing against anybody: whoever was evicted before is averaged again, and must not look otherwise.
        """
        for known in self._peers.values():
            known.up = known.neighbour = False
            if not resumed:
                known.verdict, known.until, known.verdict_reason = "trusted", 0.0, ""
        for name, peer_id in neighbours.items():
            peer = self._of(name)
            if peer is not None:
                peer.peer_id, peer.neighbour = plain(peer_id, NAME_MAX), True

    def stop(self) -> None:
        """The process ended."""
        for peer in self._peers.values():
            peer.up = False

    def connect(self, name: str, *, up: bool) -> None:
        """A neighbour came or went."""
        peer = self._of(name)
        if peer is not None:
            peer.up = up

    def blame(self, event: journal.Evidence | journal.Faulted, event_id: int) -> None:
        """A fact against a peer."""
        peer = self._of(event.peer)
        if peer is None:
            return
        if isinstance(event, journal.Faulted):
            peer.faults += 1
            peer.proved_faults += event.proved
            kind, severity = "fault", "proved" if event.proved else "witnessed" if event.witnessed else "high"
        else:
            kind, severity = plain(event.kind, NAME_MAX), event.severity
        reason = plain(event.reason, TEXT_MAX)
        peer.add_evidence(EvidenceView(event_id, event.at, event.round, kind, severity, reason))

    def judge(self, event: journal.VerdictChanged) -> None:
        """A verdict."""
        peer = self._of(event.peer)
        if peer is not None:
            peer.quarantines += event.after == "quarantined"
            peer.verdict, peer.verdict_reason = event.after, plain(event.reason, TEXT_MAX)
            peer.until = event.until if event.after == "quarantined" else 0.0

    def close(self, event: journal.RoundClosed) -> None:
        """A round is over."""
        # Whoever is not named has all of its reputation. Names that appear here for the first time are made first.
        told = {peer.name: reputation for peer, reputation in self._named(event.reputation)}
        for peer in self._peers.values():
            peer.last_bytes = 0
            peer.settle(event.round, told.get(peer.name, FULL))
        for peer, latency in self._named(event.latency_ms):
            peer.latencies.append(latency)
        for peer, (sent, received) in self._named(event.peer_bytes):
            peer.bytes_sent, peer.bytes_received = peer.bytes_sent + sent, peer.bytes_received + received
            peer.last_bytes = sent + received
        for peer in self._all(event.present):
            peer.rounds_present += 1
        for peer in self._all(event.absent):
            peer.rounds_absent += 1
        for peer in self._all(event.deadline_missed):
            peer.deadlines_missed += 1

    def _of(self, name: str) -> _Peer | None:
        name = plain(name, NAME_MAX)
        peer = self._peers.get(name)
        if peer is None and len(self._peers) < PEERS_MAX:
            peer = self._peers[name] = _Peer(name)
        if peer is None:
            self.passed_over += 1
        return peer

    def _all(self, names: Iterable[str]) -> list[_Peer]:
        return [peer for name in names if (peer := self._of(name)) is not None]

    def _named(self, figures: dict[str, Amount]) -> list[tuple[_Peer, Amount]]:
        return [(peer, figure) for name, figure in figures.items() if (peer := self._of(name)) is not None]
