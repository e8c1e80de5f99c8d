"""The live progress of a run: a fold over the nodes' journals, drawn as a table on a terminal or as lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from node import journal
from node.errors import RunError
from node.words import size


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """What is shown of one node."""

    name: str
    rounds: int
    status: str = "waiting"
    done: int = 0
    accuracy: float | None = None
    up: int = 0
    neighbours: int = 0
    bytes_sent: int = 0
    ready_at: float | None = None
    refused: int = 0
    cpu_s: float = 0.0

    def after(self, event: journal.Event) -> NodeProgress:
        """The progress once `event` has happened."""
        match event:
            case journal.Started():
                status = "resumed" if event.resumed else "started"
                return replace(self, status=status, neighbours=len(event.neighbours), up=0)
            case journal.Ready():
                return replace(self, status="running", ready_at=self.ready_at or event.at)
            case journal.Connected() | journal.Disconnected():
                return replace(self, up=event.up)
            case journal.RoundClosed():
                return replace(
                    self,
                    done=event.round + 1,
                    accuracy=event.holdout_accuracy if event.test_accuracy is None else event.test_accuracy,
                    bytes_sent=self.bytes_sent + event.bytes_sent,
                )
            case journal.Refused():
                return replace(self, refused=self.refused + event.count)
            case journal.Paused():
                return replace(self, status="no quorum" if event.cause == "quorum" else "paused")
            case journal.Unpaused():
                return replace(self, status="running")
            case journal.Finished():
                return replace(self, status="finished")
            case journal.Stopped():
                status = "finished" if self.status == "finished" else "stopped"
                return replace(self, status=status, cpu_s=self.cpu_s + (event.cpu_s or 0.0))
            case _:
                return self


@dataclass(slots=True)
class LabProgress:
    """The whole lab. Owned by the runner's supervising task."""

    title: str
    nodes: dict[str, NodeProgress]
    note: str = ""
    began: float = field(default_factory=time.monotonic)

    def apply(self, name: str, events: Iterable[journal.Event]) -> None:
        """Fold new journal events of one node in."""
        for event in events:
            self.nodes[name] = self.nodes[name].after(event)

    def mark(self, name: str, status: str) -> None:
        """What the runner itself knows of a process: crashed, restarted."""
        self.nodes[name] = replace(self.nodes[name], status=status)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of any node: one that somebody stopped is not started again, and who lacks
        it for a quorum waits in vain.
        """
        gone = {"stopped", "gave up"}
        statuses = {node.status for node in self.nodes.values()}
        return statuses <= {"finished", *gone} or (
            statuses <= {"finished", "no quorum", *gone} and bool(statuses & gone)
        )

    @property
    def accuracy(self) -> float | None:
        """Mean over the nodes that have one."""
        known = [node.accuracy for node in self.nodes.values() if node.accuracy is not None]
        return sum(known) / len(known) if known else None

    @property
    def lowest_round(self) -> int:
        """Rounds that every node has done."""
        return min(node.done for node in self.nodes.values())


class View:
    """Shows a `LabProgress` on `console`: redrawn in place on a terminal, elsewhere notes and a line every 2 s."""

    LINE_EVERY_S = 2.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last_line = (-1e9, "")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Draw while the block runs."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def show(self, progress: LabProgress) -> None:
        """Draw the present state."""
        if self._live is not None:
            self._live.update(draw(progress), refresh=True)
            return
        now = time.monotonic()
        line = one_line(progress)
        before, text = self._last_line
        # A note stands at once: whoever pressed Ctrl-C must read that it was heard.
        if line != text and (progress.note or now - before >= self.LINE_EVERY_S):
            self._last_line = (now, line)
            elapsed = now - progress.began
            try:
                self._console.print(f"{elapsed:6.1f} s  {line}", highlight=False, soft_wrap=True)
            except SystemExit as gone:  # so Rich ends a program whose output goes nowhere, in the midst of a task tree
                raise RunError(
                    "what reads the progress of this lab has ended", "Send it to a file, or use --json, and run again."
                ) from gone


def one_line(progress: LabProgress) -> str:
    """The lab in one line, for logs and pipes."""
    rounds = next(iter(progress.nodes.values())).rounds
    running = sum(node.status in ("running", "finished") for node in progress.nodes.values())
    if progress.note:
        return progress.note
    accuracy = "" if progress.accuracy is None else f", accuracy {progress.accuracy:.3f}"
    return f"round {progress.lowest_round}/{rounds}, {running}/{len(progress.nodes)} nodes running{accuracy}"


def draw(progress: LabProgress) -> Group:
    """The lab as a table, at most a screenful: beyond 32 nodes those that lag come first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (("node", "left"), ("", "left"), ("round", "right"), ("accuracy", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal by construction
    for heading in ("peers", "sent"):
        table.add_column(heading, justify="right")
    table.add_column("status")
    shown = sorted(progress.nodes.values(), key=lambda node: node.done)[:32]
    order = list(progress.nodes)
    for node in sorted(shown, key=lambda node: order.index(node.name)):
        table.add_row(
            Text(node.name, style="bold"),
            ProgressBar(total=max(node.rounds, 1), completed=node.done, width=18),
            f"{node.done}/{node.rounds}",
            "–" if node.accuracy is None else f"{node.accuracy:.3f}",
            f"{node.up}/{node.neighbours}",
            size(node.bytes_sent),
            Text(node.status, style=STYLES.get(node.status, "")),
        )
    elapsed = time.monotonic() - progress.began
    title = Text.assemble((progress.title, "bold"), (f"   {elapsed:.0f} s   ", "dim"), progress.note)
    hidden = len(progress.nodes) - len(shown)
    return Group(title, table, Text(f"and {hidden} more nodes" if hidden else "", style="dim"))


STYLES = {
    "running": "green",
    "finished": "green",
    "crashed": "red",
    "gave up": "red",
    "restarted": "yellow",
    "paused": "yellow",
    "no quorum": "yellow",
}
