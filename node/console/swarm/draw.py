"""The graph as a drawing: nodes marked by what this one believes of them, lines by what passes over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from node.cli.canvas import DOTS_ACROSS, DOTS_DOWN, Canvas
from node.cli.layouts import Positions, positions_of
from node.console.desk import Scene
from node.console.drawing.ink import Ink
from node.console.drawing.marks import NODE_MARKS, VERDICT_MARKS, node_style, shown_state, verdict_style
from node.console.drawing.table import Cell, Column, head, layout, row
from node.console.drawing.words import fit, percent
from node.view import PeerView
from node.words import size

DRAWN_NODES_MAX: Final = 64
LABEL_MAX: Final = 16
EDGES_MAX: Final = 4096
ME: Final = "◆"
BUSY: Final = 0.5
"""Share of the busiest edge's bytes above which an edge is drawn without gaps."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by name, this one first; edges by number, with the bytes of the last round, None where nobody counts."""

    names: tuple[str, ...]
    edges: dict[tuple[int, int], int | None]


def graph_of(scene: Scene) -> Graph:
    """From the peer lists of all nodes whose journals are seen: one star for one node, the whole swarm for a run."""
    names: dict[str, int] = {}
    edges: dict[tuple[int, int], int | None] = {}
    desk = scene.desk
    order = list(desk.views) if len(desk.views) > 1 else [desk.current, *scene.overview.neighbours]
    for name in order:
        names.setdefault(name, len(names))
    for name, view in desk.views.items():
        counted = any(peer.bytes_sent or peer.bytes_received for peer in view.peers.values())
        for peer in view.peers.values():
            if not peer.neighbour:
                continue
            other = names.setdefault(peer.name, len(names))
            pair = (min(names[name], other), max(names[name], other))
            told = peer.last_bytes if counted and peer.up else None
            before = edges.get(pair)
            edges[pair] = told if before is None else max(before, told or 0)
    for pair_of_names in desk.edges[:EDGES_MAX]:
        ends = [names.setdefault(end, len(names)) for end in pair_of_names]
        edges.setdefault((min(ends), max(ends)), None)
    return Graph(tuple(names), edges)


class Swarm:
    """Draws the graph; keeps the places of its nodes, which take long to find, until it is another graph."""

    def __init__(self) -> None:
        self._known: tuple[tuple[str, ...], frozenset[tuple[int, int]]] | None = None
        self._points: Positions = np.zeros((0, 2))

    def draw(self, scene: Scene, width: int, height: int, ink: Ink) -> Text:
        """The graph in so many cells."""
        graph = graph_of(scene)
        known = graph.names, frozenset(graph.edges)
        if known != self._known and 2 <= len(graph.names) <= DRAWN_NODES_MAX:
            self._known, self._points = known, positions_of(len(graph.names), list(graph.edges))
        return _draw(scene, graph, self._points, width, height, ink)


def _draw(scene: Scene, graph: Graph, points: Positions, width: int, height: int, ink: Ink) -> Text:
    if len(graph.names) < 2:
        return Text("No peer list yet: the graph appears when the node has read its own.", ink.dim)
    if len(graph.names) > DRAWN_NODES_MAX:
        return Text(f"{len(graph.names)} nodes are too many to draw; the list at the right has them all.", ink.dim)
    return _Drawing(scene, graph, points, width, height, ink).render()


class _Drawing:
    def __init__(self, scene: Scene, graph: Graph, points: Positions, width: int, height: int, ink: Ink) -> None:
        self._scene, self._graph, self._ink = scene, graph, ink
        self._labels = [fit(name, min(LABEL_MAX, max(1, cell_len(name)))) for name in graph.names]
        self._canvas = Canvas(width, height)
        self._points = points
        self._cells = self._placed(width, height)

    def render(self) -> Text:
        most = max((told for told in self._graph.edges.values() if told), default=0)
        for (i, j), told in sorted(self._graph.edges.items(), key=lambda edge: edge[1] or 0):
            busy = bool(most) and (told or 0) >= BUSY * most
            style = self._ink.accent if busy else self._ink.dim if told else self._ink.faint
            gap = 1 if busy or told is None else 2 if told else 4
            self._canvas.line(self._dot(i), self._dot(j), style, gap=gap)
        for i, cell in enumerate(self._cells):
            mark, style = self._mark(self._graph.names[i])
            self._canvas.write(cell, mark, f"bold {style}")
        for i in np.argsort(-np.linalg.norm(self._points, axis=1), kind="stable").tolist():
            _, style = self._mark(self._graph.names[i])
            self._canvas.write(self._place(i), self._labels[i], style)
        return Text("\n", no_wrap=True).join(self._canvas.lines())

    def _mark(self, name: str) -> tuple[str, str]:
        if name == self._scene.desk.current:
            return ME, self._ink.accent
        peer = self._scene.peers.get(name)
        if peer is None:
            return "○", self._ink.dim
        if not peer.up and peer.verdict == "trusted":
            return "○", self._ink.dim
        return VERDICT_MARKS[peer.verdict][0], verdict_style(peer, self._ink)

    def _placed(self, width: int, height: int) -> list[tuple[int, int]]:
        side = max(cell_len(label) for label in self._labels) + 2
        half = np.array([max(2, width - 2 * side - 1), max(2, height - 3)]) / 2
        # Cells are twice as tall as wide: a circle stays one where there is room, and no wider than twice its height.
        half[0] = min(half[0], half[1] * 2 * 1.6)
        middle = np.array([width / 2, height / 2])
        places = np.floor(middle + self._points * half).astype(np.int64)
        bounds = np.array([width - 1, height - 1])
        return [(int(x), int(y)) for x, y in np.clip(places, 0, bounds)]

    def _dot(self, i: int) -> tuple[float, float]:
        column, line = self._cells[i]
        return column * DOTS_ACROSS + 0.5, line * DOTS_DOWN + 1.5

    def _place(self, i: int) -> tuple[int, int]:
        """Where the name of node `i` hides least, outwards where places are equal."""
        length, (column, line), (x, y) = cell_len(self._labels[i]), self._cells[i], self._points[i]
        reach = math.hypot(x, y) or 1.0
        left, middle, right = column - 1 - length, column - length // 2, column + 2
        places: list[tuple[tuple[int, int], float, float]] = [
            ((right, line), 1, 0), ((left, line), -1, 0), ((middle, line - 1), 0, -1), ((middle, line + 1), 0, 1),
            ((right, line - 1), 0.7, -0.7), ((right, line + 1), 0.7, 0.7),
            ((left, line - 1), -0.7, -0.7), ((left, line + 1), -0.7, 0.7),
        ]  # fmt: skip

        def cost(place: tuple[tuple[int, int], float, float]) -> float:
            return self._canvas.crossing(place[0], length) - 2 * float(place[1] * x + place[2] * y) / reach

        return min(places, key=cost)[0]


SEEN: Final = (
    Column("peer", 8, grow=True),
    Column("verdict", 13),
    Column("rep", 3, "right"),
    Column("last round", 10, "right", rank=1),
)
NODES: Final = (
    Column("node", 8, grow=True),
    Column("state", 11),
    Column("round", 5, "right"),
    Column("accuracy", 8, "right", rank=1),
    Column("rep", 3, "right", rank=2),
)


def draw_legend(scene: Scene, width: int, height: int, ink: Ink) -> Text:
    """Every node of a run, or every neighbour of one node, in a line; and what the signs mean."""
    lines = _nodes(scene, width, ink) if len(scene.desk.views) > 1 else _seen(scene, width, ink)
    signs = [
        Text(f"{ME} ", ink.accent).append("this node  ○ down  ◐ suspect", ink.dim),
        Text("━ ", ink.accent).append("busy  ┄ quiet  ", ink.dim).append("━ ", ink.faint).append("unknown", ink.dim),
    ]
    room = max(1, height - len(signs) - 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], Text(f"and {len(lines) - room + 1} more", ink.dim)]
    lines += [Text()] * max(0, height - len(lines) - len(signs)) + signs
    return Text("\n", no_wrap=True).join(lines[:height])


def _seen(scene: Scene, width: int, ink: Ink) -> list[Text]:
    if not scene.peers:
        return [Text("No peer yet.", ink.dim)]
    places = layout(SEEN, width)
    return [head(places, ink), *(_peer(peer, places, ink) for peer in scene.peers.values())]


def _peer(peer: PeerView, places: Sequence[tuple[int, Column, int]], ink: Ink) -> Text:
    mark, word = VERDICT_MARKS[peer.verdict]
    style = verdict_style(peer, ink)
    state: Cell = (f"{mark} {word}", style) if peer.up or peer.verdict != "trusted" else ("○ DOWN", ink.dim)
    told = size(peer.last_bytes) if peer.last_bytes else "–"
    return row([peer.name, state, (f"{peer.reputation:.0f}", style), (told, ink.dim)], places, ink)


def _nodes(scene: Scene, width: int, ink: Ink) -> list[Text]:
    places = layout(NODES, width)
    lines = [head(places, ink)]
    for name, view in scene.desk.views.items():
        node, peer = view.overview, scene.peers.get(name)
        state = shown_state(node)
        mark, word = NODE_MARKS[state]
        cells: list[Cell] = [
            (name, f"bold {ink.accent}") if name == scene.desk.current else name,
            (f"{mark} {word}", node_style(state, ink)),
            f"{node.round}",
            percent(node.champion_accuracy if node.test_accuracy is None else node.test_accuracy),
            ("–", ink.dim) if peer is None else (f"{peer.reputation:.0f}", verdict_style(peer, ink)),
        ]
        lines.append(row(cells, places, ink))
    return lines
