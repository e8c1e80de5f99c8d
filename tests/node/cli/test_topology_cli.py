import json
import math
import re
import tomllib
from typing import get_args

import networkx as nx
import numpy as np
import pytest
from typer.testing import CliRunner

from consensus.committee import COMMITTEES
from node.cli.main import app
from node.cli.measures import EXACT_NODES_MAX, measure
from node.lab.attacks_on_data import ATTACKS, STRENGTHS
from node.learning.data import LOADERS
from node.learning.partition import KINDS
from overlay.families import FAMILIES, FAMILY_NAMES
from overlay.topology import load_topology, parse_topology
from overlay.topology_schema import ADVERSARIES, DATASETS, GRADED, Consensus, Task

PARAMETERS = {"degree", "rewiring", "p", "clique_size", "links", "rows", "columns"}


def run(*arguments):
    return CliRunner().invoke(app, ["topology", *map(str, arguments)], env={"COLUMNS": "80"})


def new(*arguments):
    result = run("new", *arguments)
    assert result.exit_code == 0, result.stderr
    return parse_topology(result.stdout, "new")


def written(tmp_path, *arguments):
    path = tmp_path / "swarm.toml"
    path.write_text(run("new", *arguments).stdout, encoding="utf-8")
    return path


def refused(result):
    """The two lines on stderr of a command that exits with 2."""
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("grapevine: ")
    return lines


# --- new --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 16, 50])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_new_prints_a_sound_file_of_every_family(family, n):
    topology = new(family, "--nodes", n)
    assert topology.graph.family == family
    assert topology.name == f"{family}-{n}"
    assert topology.names == tuple(f"node-{i}" for i in range(1, n + 1))


def test_new_takes_the_parameters_of_its_family():
    assert new("k-regular", "--nodes", 10, "--degree", 5).graph.degree == 5
    assert new("small-world", "--nodes", 10, "--degree", 6, "--rewiring", 0.3).graph.rewiring == 0.3
    assert new("erdos-renyi", "--nodes", 10, "--p", 0.9).graph.p == 0.9
    assert new("torus", "--nodes", 12, "--rows", 2, "--columns", 6).graph.shape(12) == (2, 6)
    cliques = new("d-cliques", "--nodes", 12, "--clique-size", 3, "--links", "ring")
    assert (cliques.graph.clique_size, cliques.graph.links) == (3, "ring")
    grid = new(
        "complete",
        "--nodes",
        27,
        "--committee",
        "grid",
        "--size",
        3,
        "--name",
        "cube",
        "--prefix",
        "press",
        "--seed",
        1,
    )
    assert (grid.consensus.committee, grid.consensus.size, grid.name, grid.seed) == ("grid", 3, "cube", 1)
    assert grid.names[-1] == "press-27"


def test_new_has_an_option_for_every_parameter():
    assert {key for kind in FAMILIES for key in kind.model_fields} - {"family", "edges"} == PARAMETERS
    text = run("new", "--help").stdout
    assert all(f"--{parameter.replace('_', '-')}" in text for parameter in PARAMETERS)


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (("rign", "--nodes", 8), 'graph.family = "rign" is unknown', 'did you mean "ring"?'),
        (("k-regular", "--nodes", 9, "--degree", 3), "n × degree even: n=9, degree=3", "degree = 4"),
        (("ring", "--nodes", 8, "--degree", 3), "graph.degree is not a known key", "the only key here is family"),
        (("complete", "--nodes", 12, "--committee", "grid", "--size", 8), "n = size**r: n=12, size=8", "neighbourhood"),
        (("ring", "--nodes", 8, "--prefix", "a/b"), '[[node]] 1 ("a/b-1"): name', "letter"),
    ],
)
def test_new_refuses_in_two_lines(arguments, problem, remedy):
    first, second = refused(run("new", *arguments))
    assert problem in first
    assert remedy in second


def test_new_says_when_the_number_of_nodes_is_impossible():
    assert run("new", "ring", "--nodes", 1).exit_code == 2
    assert run("new", "ring", "--nodes", 5000).exit_code == 2
    assert run("new", "ring").exit_code == 2


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_says_what_it_read(tmp_path):
    path = written(tmp_path, "ring", "--nodes", 8)
    result = run("check", path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path}: ring-8, 8 nodes, 8 edges, neighbourhood: sound\n")
    assert "no node has a peer_id yet" in result.stdout
    assert result.stderr == ""


def test_check_counts_the_missing_keys(tmp_path):
    path = written(tmp_path, "complete", "--nodes", 2)
    key = 'peer_id = "12D3KooWEfY2TmhEWp1scTkNTgGcB6sBdaeicFJXJjeBmUpFMyg8"\n'
    path.write_text(path.read_text(encoding="utf-8").replace('name = "node-2"\n', f'name = "node-2"\n{key}'))
    assert "1 of 2 nodes lack a peer_id" in run("check", path).stdout


def test_check_refuses_in_two_lines(tmp_path):
    path = written(tmp_path, "ring", "--nodes", 8)
    path.write_text(path.read_text(encoding="utf-8").replace("alpha", "alhpa"), encoding="utf-8")
    first, second = refused(run("check", path))
    assert first == f"grapevine: {path}: task.alhpa is not a known key"
    assert second.startswith('did you mean "alpha"?')
    assert "cannot be read (No such file" in refused(run("check", tmp_path / "none.toml"))[0]


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_prints_the_measures_and_the_names(tmp_path):
    result = run("show", written(tmp_path, "ring", "--nodes", 8))
    assert result.exit_code == 0
    words = re.sub(r" +", " ", result.stdout)
    gap = (
        1 - (1 + 2 * math.cos(math.pi / 4)) / 3
    )  # eigenvalues of the circulant with weights 1/3: (1 + 2 cos(2πk/n)) / 3
    rounds = math.ceil(math.log(1e-3) / math.log(1 - gap))
    assert f"spectral gap {gap:.3g} " in words
    assert f"rounds to consensus {rounds} " in words
    assert "degree 2 " in words
    assert "diameter 4 " in words
    assert all(f"node-{i}" in words for i in range(1, 9))
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_show_json_is_for_programs(tmp_path):
    path = written(tmp_path, "d-cliques", "--nodes", 16)
    result = run("show", path, "--json")
    document = json.loads(result.stdout)
    topology = load_topology(path)
    graph = nx.Graph(document["edge_list"])
    assert document["digest"] == topology.digest().hex()
    assert document["edges"] == graph.number_of_edges() == len(topology.edges())
    assert document["diameter"] == nx.diameter(graph) == 3
    assert document["degrees"] == {"3": 4, "4": 12}
    assert document["committees"] == [
        [{"size": 4, "members": 16}],
        [{"size": 1, "members": 4}, {"size": 2, "members": 12}],
    ]
    assert document["messages"] == 16 * 3 + 12


def test_show_explains_the_dotted_edges_of_a_torus(tmp_path):
    assert "come back on the other" in run("show", written(tmp_path, "torus", "--nodes", 12)).stdout


def test_show_refuses_in_two_lines(tmp_path):
    path = tmp_path / "swarm.toml"
    path.write_text("name = ", encoding="utf-8")
    assert "not a TOML file" in refused(run("show", path))[0]


def test_a_grid_reaches_consensus_in_one_round():
    measures = measure(new("complete", "--nodes", 27, "--committee", "grid", "--size", 3))
    assert measures.rounds_to_consensus == 1
    assert measures.spectral_gap == pytest.approx(1.0)
    assert measures.committees == ((3,) * 27,) * 3
    assert measures.messages == 27 * 3 * 2


@pytest.mark.parametrize("family", ["ring", "star", "exponential", "k-regular", "d-cliques"])
def test_diameter_and_gap_agree_with_plain_definitions(family):
    topology = new(family, "--nodes", 20)
    measures = measure(topology)
    graph = nx.Graph(topology.edges())
    assert measures.diameter == max(max(row.values()) for _, row in nx.all_pairs_shortest_path_length(graph))
    if family != "d-cliques":
        mixing = np.zeros((20, 20))
        for i, j in topology.edges():
            mixing[i, j] = mixing[j, i] = 1 / (1 + max(graph.degree[i], graph.degree[j]))
        for i in range(20):
            mixing[i, i] = 1 - mixing[i].sum()
        values = sorted(abs(value) for value in np.linalg.eigvalsh(mixing))
        assert measures.spectral_gap == pytest.approx(1 - values[-2])


def test_large_swarms_get_a_bound_and_no_eigenvalues():
    measures = measure(new("ring", "--nodes", EXACT_NODES_MAX + 44))
    assert measures.spectral_gap is None
    assert not measures.diameter_exact
    assert measures.diameter <= (EXACT_NODES_MAX + 44) // 2


@pytest.mark.parametrize("command", ["new", "check", "show"])
def test_help_has_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"grapevine topology {command}" in re.sub(r"\s+", " ", result.stdout)


def test_a_new_file_is_toml_that_another_reader_understands():
    assert tomllib.loads(run("new", "edges", "--nodes", 3).stdout)["graph"]["edges"] == [
        ["node-1", "node-2"],
        ["node-2", "node-3"],
    ]


def test_the_words_of_the_schema_are_those_that_the_rooms_know():
    def words(section, key):
        return set(get_args(section.model_fields[key].annotation))

    assert set(DATASETS) == set(LOADERS)
    assert words(Task, "partition") == set(KINDS)
    assert words(Consensus, "committee") == set(COMMITTEES)
    assert set(ADVERSARIES) == {*ATTACKS, "protocol-liar"}
    assert set(GRADED) == set(STRENGTHS)
