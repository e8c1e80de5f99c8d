import itertools
import re

import numpy as np
import pytest

from node.cli.drawing import DRAWN_NODES_MAX, MARK, draw
from node.cli.layouts import positions
from overlay.topology import Topology

GRAPHS = {
    "ring": {},
    "torus": {},
    "complete": {},
    "star": {},
    "k-regular": {"degree": 4},
    "small-world": {"degree": 4},
    "erdos-renyi": {"p": 0.3},
    "d-cliques": {"clique_size": 4},
    "exponential": {},
    "edges": {},
}


def topology(family, n, prefix="press", **parameters):
    names = [f"{prefix}-{i + 1}" for i in range(n)]
    graph = {"family": family, **GRAPHS[family], **parameters}
    if family == "edges":
        graph["edges"] = tuple(itertools.pairwise(names))
    raw = {"name": "x", "seed": 7, "graph": graph, "node": tuple({"name": name} for name in names)}
    if family in ("d-cliques", "complete"):
        raw["consensus"] = {"committee": "cliques"}
    return Topology.of(raw, "x")


@pytest.mark.parametrize("n", [8, 16, 32])
@pytest.mark.parametrize("family", GRAPHS)
def test_every_node_and_every_whole_name_is_in_the_drawing(family, n):
    swarm = topology(family, n)
    drawing = draw(swarm, 80)
    plain = drawing.plain
    assert plain.count(MARK) == n
    words = "".join(c if c.isascii() else " " for c in plain).split()
    assert sorted(words) == sorted(swarm.names)
    assert max(map(len, plain.split("\n"))) <= 80


@pytest.mark.parametrize("family", ["complete", "star", "edges"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_small_ones_are_drawn_as_well(family, n):
    assert draw(topology(family, n), 80).plain.count(MARK) == n


@pytest.mark.parametrize("family", GRAPHS)
def test_a_narrow_terminal_still_gets_a_drawing(family):
    plain = draw(topology(family, 16, prefix="a-device-with-a-very-long-name"), 40).plain
    assert max(map(len, plain.split("\n"))) <= 40


@pytest.mark.parametrize("family", GRAPHS)
def test_nodes_stand_apart_and_always_at_the_same_place(family):
    swarm = topology(family, 16)
    points = positions(swarm)
    assert points.shape == (16, 2)
    assert np.abs(points).max() <= 1 + 1e-9
    assert min(float(np.linalg.norm(points[i] - points[j])) for i in range(16) for j in range(i)) > 0.05
    assert np.array_equal(points, positions(swarm))


def test_members_of_a_clique_have_one_colour_and_cliques_different_ones():
    swarm = topology("d-cliques", 16)
    drawing = draw(swarm, 80)
    # Neighbouring characters of one style are one span: what covers a name counts, not where its span starts.
    styles = {at: span.style for span in drawing.spans for at in range(span.start, span.end)}
    names = {match[0]: range(*match.span()) for match in re.finditer(r"press-\d+", drawing.plain)}
    assert all(len({styles[at] for at in places}) == 1 for places in names.values()), "a name is in one colour"
    colour = {name: styles[places[0]] for name, places in names.items()}
    by_clique = [{colour[name] for name in swarm.names[k : k + 4]} for k in range(0, 16, 4)]
    assert all(len(colours) == 1 for colours in by_clique)
    assert len(set.union(*by_clique)) == 4


def test_a_torus_has_stubs_where_edges_close_around_the_back():
    with_stubs, without = (draw(topology("torus", 16, rows=rows), 80).plain.split("\n") for rows in (4, 2))
    assert with_stubs[0].strip(" \u2828\u2808\u2820\u2800") == ""  # dots above the first row of nodes
    assert MARK in without[0]


def test_large_swarms_are_a_histogram_that_counts_everybody():
    plain = draw(topology("erdos-renyi", 200, p=0.1), 80).plain
    lines = plain.split("\n")[1:]
    assert MARK not in plain
    assert max(map(len, plain.split("\n"))) <= 80
    assert sum(int(line.split()[-1]) for line in lines if not line.endswith("·")) == 200
    degrees = np.bincount(np.array(topology("erdos-renyi", 200, p=0.1).edges()).ravel())
    assert lines[0].split()[0].split("–")[0] == str(degrees.min())


def test_a_large_ring_has_one_bar():
    plain = draw(topology("ring", DRAWN_NODES_MAX + 1), 80).plain
    assert plain.split("\n")[1].split()[0] == "2"
    assert plain.split("\n")[1].split()[-1] == str(DRAWN_NODES_MAX + 1)
    assert len(plain.split("\n")) == 2
