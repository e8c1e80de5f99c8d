"""What the libp2p transport grants its peers, and for how long it waits for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from overlay.wire import Limits


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """The bounds of one open transport. The defaults suit a plant network and the lab alike."""

    wire: Limits = field(default_factory=Limits)
    """Of a single message."""

    outbox_messages: int = 64
    """Waiting for one peer; beyond it the oldest are dropped."""
    outbox_bytes: int = 128 * 2**20
    """The same in bytes; the newest message waits however long it is."""
    inbox_messages: int = 16
    """Of one peer, received and not fetched; beyond it the peer is not read."""

    ping_every_s: float = 2.0
    """A peer that was silent this long is asked whether it lives."""
    silence_s: float = 8.0
    """A peer that was silent this long is down."""

    upgrade_s: float = 5.0
    """For each step of a new connection: TCP, proof of identity, stream and greeting."""
    half_open: int = 128
    """Inbound connections that may be proving their identity at a time."""
    half_open_per_address: int = 64
    """Of these, from one IP address. All nodes of a lab share one."""
    half_open_grace_s: float = 0.25
    """So long an unfinished connection is safe; then a newer one may take its place."""
    upgrades_per_s: float = 50.0
    """Inbound connections taken up from one address, in the long run: a proof of identity costs milliseconds of CPU."""
    upgrades_burst: int = 256
    """At once, before `upgrades_per_s` applies: a swarm that starts together dials together."""

    refusals_every_s: float = 1.0
    """Of one reason a refusal is told at once, and those after it summed up once in this time."""

    redial_first_s: float = 0.1
    redial_most_s: float = 3.0
    """Back-off between dials doubles from the one to the other, with jitter."""
    lookup_every_s: float = 0.2
    """A new address in the address book ends the back-off within this time."""
