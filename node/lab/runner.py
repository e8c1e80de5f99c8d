"""Runs a whole testbed on this machine: every node of a topology as a process of its own.

The parent never imports torch. A fork server imports torch and libp2p once, meanwhile the parent lays out keys and
data; every node is then a fork that starts in milliseconds. The parent follows the journals, restarts a node that
crashed, and stops everything in order. A child ends by itself when the parent is gone, however it went.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Literal

import trio

from crypto.identity import PeerId
from node import journal_file
from node.api.endpoint import Endpoint, listen
from node.errors import RunError, UserError, plain_user_errors
from node.lab.folder import RunFolder
from node.lab.launch import API, FOREST, PRELOAD, BaselineOrder, NodeOrder, be_node, measure_baselines
from node.lab.prepare import make_folders, make_keys, make_shards, make_token, one_thread_each
from node.lab.progress import LabProgress, NodeProgress, View
from node.lab.record import Baselines, NodeRecord, RunRecord, write_record
from overlay.topology import Topology, dumps
from overlay.topology_schema import Node

POLL_S = 0.1
MAX_RESTARTS = 3
RESTART_AFTER_S = 0.5
STOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class LabRun:
    """A run that is over. `interrupted` when a signal ended it early."""

    folder: Path
    interrupted: bool
    unfinished: tuple[str, ...]
    """Nodes that ended before their last round although the lab was not interrupted."""
    note: str | None
    """Something that went wrong and did not end the run."""


def run_lab(topology: Topology, out: Path, view: View, api: Endpoint | None = None) -> LabRun:
    """Run `topology` in the new folder `out` and leave its journals and `run.json` there.

    With `api` node i of the topology answers i ports further on. Raises UserError when it cannot start; `out` is then
    as it was. SIGINT and SIGTERM stop it in order.
    """
    if api is not None:
        _refuse_taken([api.moved(by) for by in range(len(topology.nodes))])
    folder, existed = RunFolder(out), out.exists()
    make_folders(folder, topology)
    lab = _Lab(topology, folder, _fork_server(topology, answering=api is not None), view, api)
    try:
        with view.open(), plain_user_errors():
            trio.run(lab.run)
    except UserError:
        if not lab.began:
            _unmake(out, existed)
        raise
    return LabRun(out, lab.interrupted, lab.unfinished, lab.note)


def _refuse_taken(endpoints: Sequence[Endpoint]) -> None:
    """Before anything is made: a node would find out after half a minute of everybody's imports."""
    with contextlib.ExitStack() as held:
        for endpoint in endpoints:
            held.enter_context(listen(endpoint))


def _unmake(out: Path, existed: bool) -> None:
    """Nothing ran: take away what was laid out, so that the same command may be given again."""
    with contextlib.suppress(OSError):  # of a folder that cannot be written any more; why is being told already
        shutil.rmtree(out)
        if existed:
            out.mkdir()


def _fork_server(topology: Topology, *, answering: bool) -> ForkServerContext:
    """Start the server and its imports now; it is ready when the first child is asked for."""
    one_thread_each()
    context = multiprocessing.get_context("forkserver")
    watching = topology.detect.enabled and topology.detect.forest and topology.privacy.sharing == "none"
    context.set_forkserver_preload([*PRELOAD, *([FOREST] if watching else []), *([API] if answering else [])])
    # Ctrl-C reaches the whole terminal group. The server inherits this mask, so that it does not die in mid-import.
    # The tracker comes before, for whoever starts it finds SIGINT unblocked afterwards.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


class _Lab:
    """The supervising side of one run. Its one task tree owns everything here."""

    def __init__(
        self, topology: Topology, folder: RunFolder, context: ForkServerContext, view: View, api: Endpoint | None
    ) -> None:
        self._topology = topology
        self._order = ""  # the topology as the children get it
        self._folder = folder
        self._context = context
        self._progress = LabProgress(
            f"{topology.name}: {len(topology.nodes)} nodes, {topology.rounds.count} rounds",
            {name: NodeProgress(name, topology.rounds.count) for name in topology.names},
        )
        self._view = view
        self._api = api
        self._began_at, self._clock = time.time(), time.monotonic()
        self._peers: Mapping[str, PeerId] = {}
        self._rows = 0  # as all may know
        self._processes: dict[str, ForkServerProcess] = {}
        self._restarts: dict[str, int] = {}
        self._journals = {name: journal_file.Follower(folder.journal(name)) for name in topology.names}
        self._baselines = Baselines()
        self._completed = False
        self.interrupted = False
        self.note: str | None = None

    @property
    def began(self) -> bool:
        """Whether any node has come as far as its journal."""
        return any(self._folder.journal(name).exists() for name in self._journals)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """As `LabRun.unfinished`."""
        nodes = self._progress.nodes.values()
        return () if self.interrupted else tuple(node.name for node in nodes if node.status != "finished")

    async def run(self) -> None:
        """Everything from the keys to the baselines; leaves no process behind."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as work:
                    # Outside the scope that it cancels: a second signal is heard while the first is obeyed.
                    nursery.start_soon(self._interrupt_on, signals, work)
                    try:
                        await self._stages()
                    finally:
                        with trio.CancelScope(shield=True):
                            await self._stop_all()
                            # Whatever went wrong, the record that the report needs is there.
                            with self._folder.writing():
                                self._write_record()
                nursery.cancel_scope.cancel()

    async def _interrupt_on(self, signals: trio.abc.ReceiveChannel[int], work: trio.CancelScope) -> None:
        async for _ in signals:
            if self.interrupted:
                for process in self._processes.values():
                    process.kill()
            self.interrupted = True
            self._say("stopping; once more to kill the nodes")
            work.cancel()

    # --- the stages -----------------------------------------------------------------------------------------------

    async def _stages(self) -> None:
        with self._folder.writing():
            await self._prepare()
            self._write_record()
        await self._rounds()
        self._completed = True
        await self._measure_baselines()

    async def _prepare(self) -> None:
        self._peers = make_keys(self._folder, self._topology)
        if self._api is not None:
            make_token(self._folder, self._topology)
        self._order = dumps(self._topology.on_loopback(self._peers))
        self._say(f"dealing {self._topology.task.dataset} to {len(self._topology.nodes)} nodes")
        self._rows = await trio.to_thread.run_sync(make_shards, self._folder, self._topology)
        self._say("starting the nodes")

    async def _rounds(self) -> None:
        async with trio.open_nursery() as nursery:
            for name in self._journals:
                nursery.start_soon(self._mind, name)
            while not self._progress.over:
                await trio.sleep(POLL_S)
                self._follow()
            nursery.cancel_scope.cancel()
        await self._stop_all()

    async def _mind(self, name: str) -> None:
        """Start a node and keep it running until it has finished."""
        for attempt in range(MAX_RESTARTS + 1):
            if attempt:
                self._restarts[name] = attempt
                await trio.sleep(RESTART_AFTER_S)
            process = await self._start(name)
            await trio.lowlevel.wait_readable(process.sentinel)
            process.join()
            self._follow()
            if self._progress.nodes[name].status in ("finished", "stopped"):
                return
            if process.exitcode == 2 and not self._folder.journal(name).exists():
                raise RunError(f"node {name} refused to start: {self._last_words(name)}", f"See {self._log(name)}.")
            self._progress.mark(name, "crashed")
        self._progress.mark(name, "gave up")

    async def _start(self, name: str) -> ForkServerProcess:
        api = "" if self._api is None else self._api.moved(self._topology.index(name)).address
        order = NodeOrder(self._order, name, str(self._folder.path), tuple(self._peers.items()), self._rows, api)
        process = self._context.Process(target=be_node, args=(order,), name=name)
        await trio.to_thread.run_sync(process.start)
        self._processes[name] = process
        self._say("")
        return process

    async def _measure_baselines(self) -> None:
        self._say("training the baselines: all rows in one place, and every node alone")
        process = self._context.Process(
            target=measure_baselines, args=(BaselineOrder(self._order, str(self._folder.path)),), name="baselines"
        )
        await trio.to_thread.run_sync(process.start)
        self._processes["baselines"] = process
        await trio.lowlevel.wait_readable(process.sentinel)
        process.join()
        if process.exitcode == 0:
            self._baselines = Baselines.model_validate_json(self._folder.baselines.read_bytes())
        else:
            # The swarm's run stands without them.
            self.note = f"no baselines: {self._last_words('')} (see {self._folder.baselines_log})"
        self._say("")

    async def _stop_all(self) -> None:
        """SIGTERM to all, then SIGKILL to whoever is left."""
        for process in self._processes.values():
            process.terminate()
        with trio.move_on_after(STOP_WITHIN_S):
            for process in self._processes.values():
                await trio.lowlevel.wait_readable(process.sentinel)
        for process in self._processes.values():
            if process.is_alive():
                process.kill()
            process.join()
            process.close()
        self._processes.clear()
        self._follow()

    # --- watching -------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        for name, follower in self._journals.items():
            self._progress.apply(name, follower.poll())
        self._view.show(self._progress)

    def _say(self, note: str) -> None:
        self._progress.note = note
        self._view.show(self._progress)

    def _log(self, name: str) -> Path:
        return self._folder.log(name) if name else self._folder.baselines_log

    def _last_words(self, name: str) -> str:
        """The end of a child's log, where its error stands."""
        try:
            lines = self._log(name).read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return ". ".join(line.rstrip(".") for line in lines[-2:]) or "it left no message"

    def _write_record(self) -> None:
        """Leave what no journal knows; once at the start, so that a run cut off at any moment has a report."""
        topology, nodes = self._topology, self._progress.nodes
        ready = [node.ready_at for node in nodes.values() if node.ready_at is not None]
        names = topology.names
        write_record(
            RunRecord(
                name=topology.name,
                seed=topology.seed,
                rounds=topology.rounds.count,
                topology=dumps(topology),
                nodes=tuple(_record_of(node, self._peers.get(node.name)) for node in topology.nodes),
                edges=tuple((names[a], names[b]) for a, b in topology.edges()),
                targets=topology.targets.model_dump(exclude_none=True),
                delta=topology.privacy.delta,
                baselines=self._baselines,
                wall_s=time.monotonic() - self._clock,
                cpu_s=sum(node.cpu_s for node in nodes.values()),
                startup_s=max(ready) - self._began_at if len(ready) == len(nodes) else None,
                interrupted=not self._completed,
                restarts=self._restarts,
                unfinished=self.unfinished if self._completed else (),
            ),
            self._folder.path,
        )


def _record_of(node: Node, peer_id: PeerId | None) -> NodeRecord:
    role: Literal["honest", "adversary"] = "honest" if node.adversary is None else "adversary"
    return NodeRecord(name=node.name, role=role, adversary=node.adversary, peer_id=peer_id)
