"""A topology drawn in a terminal: nodes, names, edges; for large ones how many nodes have how many neighbours."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from node.cli.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas
from node.cli.layouts import positions
from overlay.families import DCliques, Torus
from overlay.topology import Topology

DRAWN_NODES_MAX: Final = 32
BARS_MAX: Final = 16
LABEL_MAX: Final = 16
ROWS_A_TORUS_ROW: Final = 4
MARK: Final = "●"
EDGE_STYLE: Final = "bright_black"
CELL_STYLES: Final = ("cyan", "magenta", "yellow", "green", "blue", "red", "bright_cyan", "bright_magenta")

Cell = tuple[int, int]


def draw(topology: Topology, width: int) -> Text:
    """The graph of `topology` in at most `width` columns; members of one clique in one colour.

    Beyond `DRAWN_NODES_MAX` nodes lines would cover each other, and a histogram of degrees stands instead.
    """
    if len(topology.nodes) > DRAWN_NODES_MAX:
        return histogram(topology, width)
    return _Drawing(topology, width).render()


def histogram(topology: Topology, width: int) -> Text:
    """One bar a degree, or a range of degrees where there are many."""
    degrees = np.bincount(np.array(topology.edges()).ravel(), minlength=len(topology.nodes))
    low, high = int(degrees.min()), int(degrees.max())
    edges = np.arange(low, high + 1 + (step := (high - low) // BARS_MAX + 1), step)
    counts, _ = np.histogram(degrees, bins=edges)
    names = [f"{edge}" if step == 1 else f"{edge}–{edge + step - 1}" for edge in edges[:-1].tolist()]
    margin = max(len("neighbours"), *map(len, names))
    room = max(10, width - margin - len(f"{counts.max()}") - 4)
    text = Text(f"{'neighbours':>{margin}}  nodes\n", style="dim")
    for name, count in zip(names, counts.tolist(), strict=True):
        text.append(f"{name:>{margin}}  ").append(_bar(count / int(counts.max()), room), CELL_STYLES[0])
        text.append(f" {count}\n" if count else "·\n", "dim")
    text.rstrip()
    return text


def _bar(share: float, room: int) -> str:
    eighths = max(1, round(share * room * 8)) if share else 0
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


class _Drawing:
    """One drawing: where the nodes are, and the canvas that it is made on."""

    def __init__(self, topology: Topology, width: int) -> None:
        self._topology = topology
        self._graph = topology.graph
        self._labels = [_shortened(name) for name in topology.names]
        self._points = positions(topology)
        self._home = _cliques(topology)
        rows, across, down = self._room(width)
        self._canvas = Canvas(width, rows)
        self._dots = self._scaled(rows, across, down)
        self._cells = [(int(x) // DOTS_ACROSS, int(y) // DOTS_DOWN) for x, y in self._dots]

    def render(self) -> Text:
        for i, j in self._topology.edges():
            if not self._leaves(i, j):
                self._canvas.line(self._dot(i), self._dot(j), self._edge_style(i, j))
        for i, j in self._topology.edges():
            if self._leaves(i, j):
                self._stubs(i, j)
        for i, cell in enumerate(self._cells):
            self._canvas.write(cell, MARK, f"bold {self._node_style(i)}")
        for i in self._outermost_first():
            self._canvas.write(self._place(i), self._labels[i], self._node_style(i))
        return self._canvas.render()

    def _room(self, width: int) -> tuple[int, int, int]:
        """(rows of the canvas; columns, rows from the first node to the last)."""
        n, label = len(self._labels), max(map(len, self._labels)) + 2
        if isinstance(self._graph, Torus):
            rows, columns = self._graph.shape(n)
            across = max(2 * (columns - 1), min((label + 6) * (columns - 1), width - 2 * label))
            return ROWS_A_TORUS_ROW * rows + 1, across, ROWS_A_TORUS_ROW * (rows - 1)
        down = 14 if n <= 8 else 22 if n <= 16 else 30
        # Cliques may stand wider than tall, so that names find room between them.
        stretch = 1.4 if isinstance(self._graph, DCliques) else 1.0
        return down + 3, min(round(2 * stretch * down), width - 2 * label), down

    def _scaled(self, rows: int, across: int, down: int) -> NDArray[np.int64]:
        """Positions in dots, in the middle of the canvas."""
        half = np.array([across * DOTS_ACROSS, down * DOTS_DOWN]) / 2
        if not isinstance(self._graph, Torus | DCliques):
            half = np.full(2, half.min())
        middle = np.array([self._canvas.columns * DOTS_ACROSS, rows * DOTS_DOWN]) / 2
        return np.asarray(np.round(middle + self._points * half), dtype=np.int64)

    def _dot(self, i: int) -> tuple[float, float]:
        # Lines meet in the middle of the mark's cell, whichever of its dots the node fell on.
        column, row = self._cells[i]
        return column * DOTS_ACROSS + 0.5, row * DOTS_DOWN + 1.5

    def _leaves(self, i: int, j: int) -> bool:
        """Whether the edge closes a row or a column of a torus around the back."""
        if not isinstance(self._graph, Torus):
            return False
        _, columns = self._graph.shape(len(self._labels))
        (row_i, column_i), (row_j, column_j) = divmod(i, columns), divmod(j, columns)
        return abs(row_i - row_j) + abs(column_i - column_j) > 1

    def _stubs(self, i: int, j: int) -> None:
        """Both ends of an edge that leaves the drawing on one side and comes back on the other."""
        (x_i, y_i), (x_j, y_j) = self._dot(i), self._dot(j)
        across, down = np.sign(x_j - x_i) * 10, np.sign(y_j - y_i) * 7
        style = self._edge_style(i, j)
        self._canvas.line((x_i, y_i), (x_i - across, y_i - down), style, gap=2)
        self._canvas.line((x_j, y_j), (x_j + across, y_j + down), style, gap=2)

    def _node_style(self, i: int) -> str:
        return CELL_STYLES[self._home[i] % len(CELL_STYLES)]

    def _edge_style(self, i: int, j: int) -> str:
        together = len(set(self._home)) > 1 and self._home[i] == self._home[j]
        return self._node_style(i) if together else EDGE_STYLE

    def _outermost_first(self) -> list[int]:
        """Names at the rim have the least choice of a place that does not cross an edge."""
        return [int(i) for i in np.argsort(-np.linalg.norm(self._points, axis=1), kind="stable")]

    def _below(self, i: int) -> Cell:
        """On a torus: beside the line that goes down, the same for all, in steps where names would touch."""
        column, row = self._cells[i]
        near = self._cells[1][0] - self._cells[0][0] < max(map(len, self._labels)) + 2
        return column + 2, row + 1 + (near and self._column(i) % 2)

    def _column(self, i: int) -> int:
        return i % self._graph.shape(len(self._labels))[1] if isinstance(self._graph, Torus) else 0

    def _place(self, i: int) -> Cell:
        """Where the name of node `i` hides least, outwards where places are equal."""
        label, (column, row), (x, y) = self._labels[i], self._cells[i], self._points[i]
        if isinstance(self._graph, Torus):
            return self._below(i)
        reach = math.hypot(x, y) or 1.0
        left, middle, right = column - 1 - len(label), column - len(label) // 2, column + 2
        places: list[tuple[Cell, float, float]] = [
            ((right, row), 1, 0), ((left, row), -1, 0), ((middle, row - 1), 0, -1), ((middle, row + 1), 0, 1),
            ((right - 1, row - 1), 0.7, -0.7), ((right - 1, row + 1), 0.7, 0.7),
            ((left + 1, row - 1), -0.7, -0.7), ((left + 1, row + 1), -0.7, 0.7),
        ]  # fmt: skip

        def cost(place: tuple[Cell, float, float]) -> float:
            cell, dx, dy = place
            return self._canvas.crossing(cell, len(label)) - 2 * float(dx * x + dy * y) / reach

        return min(places, key=cost)[0]


def _cliques(topology: Topology) -> list[int]:
    """For each node the number of its clique in the first phase; all zero where committees are no cliques."""
    n = len(topology.nodes)
    if topology.consensus.committee != "cliques":
        return [0] * n
    committees = [frozenset(topology.plan.phases_of(i, 0)[0]) for i in range(n)]
    numbers = {committee: number for number, committee in enumerate(dict.fromkeys(committees))}
    return [numbers[committee] for committee in committees]


def _shortened(name: str) -> str:
    return name if len(name) <= LABEL_MAX else f"{name[: LABEL_MAX - 1]}…"
