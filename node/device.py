"""A node on a real device: its key and data from the device, its peers from the topology file."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog
import torch
import trio

from crypto.identity import PeerId, parse_peer_id
from node.api.endpoint import Endpoint
from node.assembly import NodeSpec, run_node
from node.errors import RunError, plain_user_errors
from node.lab.lying import betraying_of, lying, rows_of
from node.logs import open_log
from node.rows import own_rows, public_rows
from node.state import StateFolder
from node.store.retention import Keep
from overlay.discovery import StaticBook
from overlay.topology import Topology


def run_device(
    topology: Topology,
    name: str,
    state: StateFolder,
    file: Path,
    *,
    allow_adversary: bool = False,
    api: Endpoint | None = None,
    store: str | None = None,
    keep_days: float = 400,
) -> None:
    """Run node `name` until SIGTERM or SIGINT. `file` is named in errors; `store` is that of `NodeSpec`. Raises
    UserError.
    """
    refuse_adversary(topology, name, file, allowed=allow_adversary)
    gc.freeze()  # what is imported by now stays: no collection need look through it, and hold up the loop meanwhile
    torch.set_num_threads(1)
    identity = state.load_identity()
    peers = peers_of(topology, file)
    with state.locked(), open_log(state.path, name, sys.stderr):
        log = structlog.get_logger()
        log.info("loading data")
        spec = NodeSpec(
            topology=topology,
            name=name,
            state=state,
            journal=state.path / "journal.jsonl",
            peers=peers,
            book=book_of(topology, peers, file),
            shard=rows_of(topology, name, own_rows(topology, name)),
            rows=public_rows(topology),
            lying=lying(topology, name),
            betraying=betraying_of(topology, name),
            api=api,
            store=store,
            keep=Keep(days=keep_days),
        )

        async def main() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                when = iter(("after the round under way; once more to stop at once",))

                async def stop() -> str:
                    told = signal.Signals(await anext(signals)).name
                    log.info(f"stopping {next(when, 'at once')}", signal=told)
                    return told

                log.info("running", peer_id=identity.peer_id, listen=topology.nodes[topology.index(name)].listen)
                await run_node(spec, identity, stop=stop)
            log.info("stopped")

        with plain_user_errors():
            trio.run(main)


def refuse_adversary(topology: Topology, name: str, file: Path, *, allowed: bool) -> None:
    """A device that lies does so because somebody said so twice."""
    adversary = topology.node(name).adversary
    if adversary is not None and not allowed:
        raise RunError(
            f"{file}: node {name} is an adversary ({adversary})",
            "Take `adversary` out of its table, or start it with --allow-adversary on a network that is yours.",
        )


def book_of(topology: Topology, peers: Mapping[str, PeerId], file: Path) -> StaticBook:
    """Where each node is, from the file."""
    try:
        return StaticBook({peers[node.name]: node.listen for node in topology.nodes})
    except ValueError as error:
        raise RunError(f"{file}: {error}", "Give every [[node]] a `listen` that the others can dial.") from error


def peers_of(topology: Topology, file: Path) -> Mapping[str, PeerId]:
    """Node name → PeerId; every node on real devices has one in the file."""
    without = [node.name for node in topology.nodes if node.peer_id is None]
    if without:
        raise RunError(
            f"{file}: no peer_id for {', '.join(without)}",
            "Run `grapevine node init --name NAME` on each device and copy the line that it prints into the file.",
        )
    return {node.name: parse_peer_id(node.peer_id) for node in topology.nodes if node.peer_id is not None}
