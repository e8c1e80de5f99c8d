"""One node of a lab, in its own process, forked from a server that has torch and libp2p imported already."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import torch
import trio

from crypto.identity import parse_peer_id
from node.api.endpoint import parse_endpoint
from node.assembly import NodeSpec, run_node
from node.errors import UserError, plain_user_errors
from node.lab.folder import RunFolder
from node.lab.launch import NodeOrder
from node.lab.lying import betraying_of, lying, rows_of
from node.learning.data import load_saved
from node.logs import open_log
from node.state import StateFolder
from overlay.discovery import FolderBook
from overlay.topology import parse_topology

DRAIN_S = 2.0
"""Less than the lab waits before it kills."""


def run_child(order: NodeOrder) -> None:
    """The main function of a child process."""
    # A session of its own: Ctrl-C on the terminal reaches the lab alone, which then stops its children in order.
    os.setsid()
    gc.freeze()
    gc.enable()
    torch.set_num_threads(1)
    folder = RunFolder(Path(order.folder))
    redirect_output(folder.log(order.name))
    topology = parse_topology(order.topology, "the lab's topology")
    state = StateFolder(folder.state(order.name))
    try:
        with state.locked(), open_log(state.path, order.name, None):
            spec = NodeSpec(
                topology=topology,
                name=order.name,
                state=state,
                journal=folder.journal(order.name),
                peers={name: parse_peer_id(peer) for name, peer in order.peers},
                book=FolderBook(folder.addresses),
                shard=rows_of(topology, order.name, load_saved(folder.shard(order.name))),
                test=load_saved(folder.test),
                rows=order.rows,
                lying=lying(topology, order.name),
                betraying=betraying_of(topology, order.name),
                drain_s=min(DRAIN_S, topology.rounds.deadline_s),
                api=parse_endpoint(order.api) if order.api else None,
            )
            with plain_user_errors():
                trio.run(_run_until_told, spec, state)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


async def _run_until_told(spec: NodeSpec, state: StateFolder) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:

        async def stop() -> str:
            return await _first_of_signal_or_orphaned(signals)

        await run_node(spec, state.load_identity(), stop=stop)


async def _first_of_signal_or_orphaned(signals: object) -> str:
    """SIGTERM, or the end of the lab: a lab that was killed leaves no node behind."""
    reasons: list[str] = []

    async def terminated(scope: trio.CancelScope) -> None:
        async for _ in signals:  # type: ignore[attr-defined]  # trio types the receiver as an object
            reasons.append("terminated")
            scope.cancel()

    async def orphaned(scope: trio.CancelScope) -> None:
        parent = multiprocessing.parent_process()
        if parent is None:
            await trio.sleep_forever()
        else:
            await trio.lowlevel.wait_readable(parent.sentinel)
            reasons.append("the lab is gone")
            scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminated, nursery.cancel_scope)
        nursery.start_soon(orphaned, nursery.cancel_scope)
    return reasons[0]


def redirect_output(path: Path) -> None:
    """Send what a child prints, a traceback above all, to its own log file."""
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
