"""What the API answers from and acts through, put together by the node or by a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from node.api.gate import Limits
from node.api.logs import LogFile
from node.api.tokens import TokenFile
from node.compute import Compute
from node.controls import Controls
from node.feed import Feed
from node.store.store import Store
from node.view import View
from overlay.topology import Topology


@dataclass(frozen=True, slots=True)
class Sources:
    """Of one node. All but `store` and `log` are used in the thread of its trio loop alone."""

    topology: Topology
    name: str
    """Of the node in the topology."""
    view: View
    """Fed by `feed`."""
    feed: Feed
    journal: Path
    controls: Controls
    store: Store
    compute: Compute
    """Where the store and the log are read, one reading at a time: each takes as long as it takes."""
    tokens: TokenFile
    log: LogFile
    wall_clock: Callable[[], float]
    hosts: frozenset[str] | None = None
    """As `Gate` takes them."""
    limits: Limits = field(default_factory=Limits)
