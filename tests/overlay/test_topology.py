import tomllib
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from crypto.identity import Identity
from overlay import topology as module
from overlay.families import FAMILIES
from overlay.topology import MAX_FILE_BYTES, Topology, TopologyError, dumps, load_topology, parse_topology
from overlay.topology_schema import Consensus, Node, NodeName, Privacy, Rounds, Targets, Task

KNOWN_DIGEST = "c86466b5de498cd3ed92d214cd9764c55e33b9a5fefcc3632ae0b6396080d922"
PEER_IDS = [Identity.from_seed(bytes([i]) * 32).peer_id for i in range(20)]


def nodes(n, **keys):
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return "".join(f'\n[[node]]\nname = "press-{i + 1}"\n{lines}' for i in range(n))


def document(n=4, head="", graph='family = "ring"', after=""):
    return f'name = "plant"\n{head}\n[graph]\n{graph}\n{after}\n{nodes(n)}'


def parsed(*arguments, **keywords):
    return parse_topology(document(*arguments, **keywords), "plant.toml")


def refusal(text):
    with pytest.raises(TopologyError) as refused:
        parse_topology(text, "plant.toml")
    return refused.value


# --- what a topology says ---------------------------------------------------------------------------------------------


def test_a_short_file_has_the_documented_defaults():
    topology = parsed()
    assert topology.names == ("press-1", "press-2", "press-3", "press-4")
    assert topology.task == Task(dataset="digits", partition="dirichlet", alpha=0.5, model="mlp", hidden=(64,))
    assert (topology.rounds.count, topology.rounds.deadline_s, topology.rounds.quorum) == (30, 10.0, 0.6)
    assert topology.consensus == Consensus(committee="neighbourhood", rule="mean")
    assert topology.privacy == Privacy(sharing="none", dp="off")
    assert topology.targets.honest_accuracy is None
    assert {node.listen for node in topology.nodes} == {"/ip4/127.0.0.1/tcp/0"}


def test_neighbours_follow_from_the_edges():
    topology = parsed(
        graph='family = "edges"\nedges = [["press-3", "press-1"], ["press-3", "press-4"], ["press-2", "press-3"]]'
    )
    assert topology.edges() == ((0, 2), (1, 2), (2, 3))
    assert topology.neighbours("press-3") == ("press-1", "press-2", "press-4")
    assert topology.neighbours("press-4") == ("press-3",)
    assert topology.peer_list("press-4") == ("press-3",)


def test_in_a_grid_everybody_is_on_everybodys_list():
    topology = parsed(8, graph='family = "complete"', after='[consensus]\ncommittee = "grid"\nsize = 2')
    for i, name in enumerate(topology.names):
        assert topology.peer_list(name) == topology.names[:i] + topology.names[i + 1 :]
        for number in (0, 10, 20):
            for phase in topology.plan.phases_of(i, number):
                assert {topology.names[j] for j in phase} <= {name, *topology.peer_list(name)}


@pytest.mark.parametrize("committee", ["neighbourhood", "cliques"])
def test_committees_stay_within_the_peer_list(committee):
    graph = 'family = "d-cliques"\nclique_size = 3'
    topology = parsed(9, graph=graph, after=f'[consensus]\ncommittee = "{committee}"')
    for i, name in enumerate(topology.names):
        for phase in topology.plan.phases_of(i, 0):
            assert {topology.names[j] for j in phase} <= {name, *topology.peer_list(name)}


def test_places_and_tables_are_found_by_name():
    topology = parsed()
    assert topology.index("press-3") == 2
    assert topology.node("press-3") is topology.nodes[2]
    with pytest.raises(TopologyError, match=r'no node is called "pres-3"\ndid you mean "press-3"\?'):
        topology.index("pres-3")


def test_a_topology_is_frozen():
    topology = parsed()
    with pytest.raises(ValidationError):
        topology.seed = 3
    with pytest.raises(ValidationError):
        topology.task.alpha = 3.0


# --- copies -----------------------------------------------------------------------------------------------------------

DRAWN = 'family = "erdos-renyi"\np = 0.5'


def test_another_seed_draws_another_graph_and_another_count_does_not():
    topology = parsed(10, graph=DRAWN)
    other = topology.with_overrides(seed=99)
    assert other.edges() != topology.edges()
    assert other == parsed(10, head="seed = 99", graph=DRAWN)
    assert topology.with_overrides(rounds=3).rounds == Rounds(count=3)
    assert topology.with_overrides(rounds=3).edges() == topology.edges()
    assert topology.with_overrides() == topology


@pytest.mark.parametrize("override", [{"rounds": 0}, {"rounds": True}, {"seed": -1}, {"seed": 2**63}])
def test_an_impossible_override_is_refused(override):
    with pytest.raises(TopologyError, match=r"^plant: "):
        parsed().with_overrides(**override)


def test_on_loopback_the_addresses_and_identities_change_and_the_digest_does_not():
    text = document(2, graph='family = "complete"').replace(
        '"press-1"\n', '"press-1"\nlisten = "/ip4/10.0.0.1/tcp/4001"\n'
    )
    topology = parse_topology(text, "plant.toml")
    copy = topology.on_loopback(dict(zip(topology.names, PEER_IDS, strict=False)))
    assert [node.listen for node in copy.nodes] == ["/ip4/127.0.0.1/tcp/0"] * 2
    assert [node.peer_id for node in copy.nodes] == PEER_IDS[:2]
    assert copy.digest() == topology.digest()


# --- digest -----------------------------------------------------------------------------------------------------------

LONG = """
name = "plant"
seed = 3
[task]
dataset = "csv:/here.csv"
label = "state"
partition = "shards"
alpha = 0.4
shards_per_node = 3
column = "site"
model = "linear"
hidden = [16, 8]
local_epochs = 2
batch_size = 8
learning_rate = 0.1
momentum = 0.5
weight_decay = 0.01
holdout = 0.2
promote_margin = 0.01
rollback_margin = 0.7
[rounds]
count = 5
deadline_s = 2.5
quorum = 0.75
[graph]
family = "k-regular"
degree = 3
[targets]
honest_accuracy = 0.5
""" + nodes(6, listen='"/ip4/127.0.0.1/tcp/0"')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "plant"', 'name = "other"'),
        ("seed = 3", "seed = 4"),
        ("csv:", "mnist:"),
        ('"state"', '"other"'),
        ('"shards"', '"iid"'),
        ("alpha = 0.4", "alpha = 0.3"),
        ("shards_per_node = 3", "shards_per_node = 4"),
        ('"site"', '"other"'),
        ('"linear"', '"mlp"'),
        ("[16, 8]", "[16, 9]"),
        ("local_epochs = 2", "local_epochs = 1"),
        ("batch_size = 8", "batch_size = 9"),
        ("learning_rate = 0.1", "learning_rate = 0.2"),
        ("momentum = 0.5", "momentum = 0.6"),
        ("weight_decay = 0.01", "weight_decay = 0.02"),
        ("holdout = 0.2", "holdout = 0.3"),
        ("promote_margin = 0.01", "promote_margin = 0.02"),
        ("rollback_margin = 0.7", "rollback_margin = 0.8"),
        ("deadline_s = 2.5", "deadline_s = 2.6"),
        ("quorum = 0.75", "quorum = 0.8"),
        ('family = "k-regular"\ndegree = 3', 'family = "ring"'),
        ('"press-2"', '"press-9"'),
    ],
)
def test_the_digest_covers_what_peers_must_agree_on(old, new):
    assert old in LONG
    assert parse_topology(LONG.replace(old, new), "x").digest() != parse_topology(LONG, "x").digest()


def test_the_digest_covers_the_committees():
    digests = {
        parsed(4, graph='family = "complete"', after=after).digest()
        for after in (
            "",
            '[consensus]\ncommittee = "cliques"',
            '[consensus]\ncommittee = "grid"\nsize = 2',
            '[consensus]\ncommittee = "grid"\nsize = 4',
        )
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("count = 5", "count = 6"),
        ("honest_accuracy = 0.5", "honest_accuracy = 0.6"),
        ("/here.csv", "/there.csv"),
        ('name = "press-1"\nlisten = "/ip4/127.0.0.1/tcp/0"', 'name = "press-1"\nlisten = "/ip4/10.0.0.1/tcp/4001"'),
        ('name = "press-1"', f'name = "press-1"\npeer_id = "{PEER_IDS[0]}"'),
        ("seed = 3", "# a comment\n\nseed   =   0x3"),
    ],
)
def test_the_digest_leaves_out_what_may_differ_from_device_to_device(old, new):
    assert old in LONG
    assert parse_topology(LONG.replace(old, new, 1), "x").digest() == parse_topology(LONG, "x").digest()


def test_the_digest_covers_the_edges_as_drawn(monkeypatch):
    """A graph library that draws another graph from the same seed is noticed when peers greet each other."""
    before = parse_topology(LONG, "x")
    monkeypatch.setattr(module.Topology, "edges", lambda self: ())
    family = type(before.graph)
    monkeypatch.setattr(family, "build", lambda self, names, seed: tuple(combinations(range(len(names)), 2)))
    assert parse_topology(LONG, "x").digest() != before.digest()


def test_the_digest_stays_what_it_was():
    """A change of the canonical form would split every running swarm at its next restart."""
    digest = parse_topology(LONG.replace('family = "k-regular"\ndegree = 3', 'family = "ring"'), "x").digest()
    assert digest.hex() == KNOWN_DIGEST


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_written_file_parses_to_an_equal_topology():
    topology = parse_topology(LONG, "x")
    assert parse_topology(dumps(topology), "y") == topology
    assert parse_topology(dumps(topology), "y").digest() == topology.digest()


def test_a_written_file_explains_its_keys():
    text = dumps(parsed())
    assert 'dataset = "digits"       # digits (embedded) | adult:DIR | mnist:DIR | csv:FILE' in text
    assert "shards_per_node" not in text  # without an effect beside dirichlet
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("section", [Topology, Task, Rounds, Consensus, Privacy, Targets, Node, *FAMILIES])
def test_every_key_has_a_docstring(section):
    for name, field in section.model_fields.items():
        assert field.description or name == "family", f"{section.__name__}.{name}"


columns = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f"), min_size=1, max_size=20)
tasks = st.fixed_dictionaries(
    {},
    optional={
        "dataset": st.sampled_from(["digits", "csv:/a b/ü.csv", 'adult:C:\\data"', "mnist:x"]),
        "label": columns,
        "partition": st.sampled_from(["iid", "dirichlet", "shards", "local"]),
        "alpha": st.floats(1e-3, 1e6),
        "column": columns,
        "model": st.sampled_from(["mlp", "linear"]),
        "hidden": st.lists(st.integers(1, 5000), min_size=1, max_size=16).map(tuple),
        "learning_rate": st.floats(1e-300, 10),
        "momentum": st.floats(0, 0.999),
    },
)


@settings(max_examples=60)
@given(tasks, st.integers(0, 2**63 - 1), st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True), max_size=6))
def test_whatever_parses_survives_being_written(task, seed, names):
    table = {"name": "x", "seed": seed, "task": task, "graph": {"family": "complete"}}
    try:
        topology = Topology.of({**table, "node": tuple({"name": name} for name in names)}, "x")
    except TopologyError:
        return
    assert parse_topology(dumps(topology), "y") == topology


# --- what cannot be, and what is said then ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "problem", "remedy"),
    [
        ("seed = 3", "sede = 3", "plant.toml: sede is not a known key", 'did you mean "seed"?'),
        ("alpha = 0.4", "alhpa = 0.4", "plant.toml: task.alhpa is not a known key", 'did you mean "alpha"?'),
        ("[rounds]", "[round]", "plant.toml: round is not a known key", 'did you mean "rounds"?'),
        ("degree = 3", "dgree = 3", "plant.toml: graph.dgree is not a known key", 'did you mean "degree"?'),
        ("degree = 3", "p = 0.3", "graph.p is not a known key", "family, degree"),
        ("degree = 3", "", "graph.degree is missing", "add it"),
        ("degree = 3", "degree = true", "graph.degree is true", "whole number"),
        ("degree = 3", "degree = 3.0", "graph.degree is 3.0", "whole number"),
        ("degree = 3", "degree = -3", "graph.degree is -3", "greater than or equal to 1"),
        ('"k-regular"', '"kregular"', 'graph.family = "kregular" is unknown', 'did you mean "k-regular"?'),
        ('"k-regular"', "3", "graph.family = 3 is unknown", "choose of ring, torus"),
        ('family = "k-regular"', "", "graph.family is missing", "choose of ring, torus"),
        ('"shards"', '"shrads"', 'task.partition = "shrads" is unknown', 'did you mean "shards"?'),
        ('"shards"', '"by-device"', '"by-device" is not available in this version', "choose of iid"),
        ('"linear"', '"autoencoder"', '"autoencoder" is not available in this version', "choose of mlp, linear"),
        ('"linear"', "[]", "task.model = a list of 0 is unknown", "choose of mlp, linear"),
        ('"csv:/here.csv"', '"digts"', 'task.dataset = "digts" is unknown', 'did you mean "digits"?'),
        ('"csv:/here.csv"', '"csv"', 'task.dataset = "csv" is incomplete', "write csv:FILE"),
        ('"csv:/here.csv"', '"mnist:"', "is incomplete", "write mnist:DIR"),
        ('"csv:/here.csv"', '"digits:x"', "takes no path", "write digits"),
        ('"csv:/here.csv"', '"westermo:x"', "not available in this version", "choose of digits"),
        ('"csv:/here.csv"', '"csv:a\\u0000b"', "is no path", "printable"),
        ('"shards"', '"column"\ncolumm = "x"', "task.columm is not a known key", 'did you mean "column"?'),
        ('column = "site"', "column = 3", "task.column is 3", "text in quotes"),
        ('column = "site"', 'column = ""', "task.column is", "at least 1 long"),
        ("[16, 8]", "[]", "task.hidden is a list of 0", "at least 1 long"),
        ("[16, 8]", "[16, 0]", "task.hidden[1] is 0", "greater than or equal to 1"),
        ("[16, 8]", "[65536, 65536]", "4,294,967,296 parameters", "fewer or smaller"),
        ("[16, 8]", "64", "task.hidden is 64", "a list in square brackets"),
        ("learning_rate = 0.1", "learning_rate = nan", "task.learning_rate is nan", "finite"),
        ("learning_rate = 0.1", "learning_rate = inf", "task.learning_rate is inf", "finite"),
        ("learning_rate = 0.1", "learning_rate = true", "task.learning_rate is true", "a number"),
        ("learning_rate = 0.1", 'learning_rate = "0.1"', 'task.learning_rate is "0.1"', "a number"),
        ("learning_rate = 0.1", "learning_rate = 0", "task.learning_rate is 0", "greater than 0"),
        ("momentum = 0.5", "momentum = 1.0", "task.momentum is 1.0", "less than 1"),
        ("count = 5", "count = 10_000_000", "rounds.count is 10000000", "less than or equal to 1000000"),
        ("quorum = 0.75", "quorum = 1.1", "rounds.quorum is 1.1", "less than or equal to 1"),
        ("quorum = 0.75", "quorum = 1979-05-27", "rounds.quorum is datetime", "a number"),
        ("[targets]", '[privacy]\nsharing = "shamir"\n[targets]', "not available in this version", "use none"),
        ("[targets]", "[privacy]\nepsilon = 4.0\n[targets]", "privacy.epsilon is not available", "sharing, dp"),
        ("[targets]", "[detect]\npenalty = 25\n[targets]", "detect is not available in this version", "leave it out"),
        ("[targets]", '[consensus]\nrule = "krum"\n[targets]', "not available in this version", "use mean"),
        ("[targets]", '[consensus]\ncommittee = "grid"\n[targets]', "consensus.size is missing", "add size"),
        ("[targets]", "[consensus]\nsize = 2\n[targets]", 'is for committee = "grid" alone', "take it out"),
        ("[targets]", "consensus = 3\n[targets]", "graph.consensus is not a known key", "family, degree"),
        ("seed = 3", "seed = 3\nconsensus = 3", "plant.toml: consensus is 3", "it must be a table"),
        ("seed = 3", "seed = -1", "plant.toml: seed is -1", "greater than or equal to 0"),
        ('name = "plant"', 'name = "../plant"', 'plant.toml: name is "../plant"', "begin with a letter"),
        ('name = "press-2"', 'name = "press-1"', "[[node]] 2 (press-1): name is that of [[node]] 1", "rename"),
        ('name = "press-2"', 'name = "PRESS-1"', "[[node]] 2 (PRESS-1): name is that of [[node]] 1", "case does not"),
        ('name = "press-2"', 'name = "lab"', "which a run keeps for itself", "choose another name"),
        ('name = "press-2"', 'name = "a/b"', '[[node]] 2 ("a/b"): name is "a/b"', "begin with a letter"),
        ('name = "press-2"', 'name = "\\u001b[2J"', 'name is \'\\x1b[2J\'', "begin with a letter"),
        ('name = "press-2"', 'nam = "press-2"', "[[node]] 2: nam is not a known key", 'did you mean "name"?'),
        ('name = "press-2"', 'name = "p"\npeer_id = "12D3"', '(p): peer_id = "12D3" is not a PeerId', "node init"),
        ('name = "press-2"', 'name = "p"\nadversary = "alie"', "(p): adversary is not available", "leave it out"),
        ('name = "press-2"', 'name = "p"\ndata = "csv:x"', '(p): data has no effect with partition = "shards"', "local"),
        ('listen = "/ip4/127.0.0.1/tcp/0"', 'listen = "localhost"', "(press-1): listen is", "/ip4/192.168.1.11/tcp/4001"),
    ],
)  # fmt: skip
def test_an_error_names_file_and_key_and_says_what_to_do(old, new, problem, remedy):
    assert old in LONG
    error = refusal(LONG.replace(old, new, 1))
    assert error.problem.startswith("plant.toml: ")
    assert problem in error.problem
    assert remedy in error.remedy
    assert "\n" not in error.problem + error.remedy
    assert str(error) == f"{error.problem}\n{error.remedy}"


def test_two_nodes_cannot_share_an_address_unless_the_system_picks_the_port():
    def pair(first, second):
        return document(2, graph='family = "complete"').replace(nodes(2), "") + (
            f'[[node]]\nname = "a"\nlisten = "{first}"\n[[node]]\nname = "b"\nlisten = "{second}"\n'
        )

    error = refusal(pair("/ip6/::1/tcp/4001", "/ip6/0:0::1/tcp/4001"))
    assert '[[node]] 2 (b): listen is that of [[node]] 1 as well: "/ip6/::1/tcp/4001"' in error.problem
    assert "port 0" in error.remedy
    parse_topology(pair("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0"), "x")
    parse_topology(pair("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4002"), "x")


def test_two_nodes_cannot_share_a_key():
    error = refusal(document(0, graph='family = "complete"') + nodes(2, peer_id=f'"{PEER_IDS[0]}"'))
    assert "[[node]] 2 (press-2): peer_id is that of [[node]] 1 as well" in error.problem
    assert "node init" in error.remedy


@pytest.mark.parametrize("n", [0, 1])
def test_gossip_needs_two(n):
    assert "node is" in refusal(document(n, graph='family = "complete"')).problem


def test_a_count_of_nodes_is_no_list_of_nodes():
    error = refusal(document(0, head="nodes = 16"))
    assert "nodes is not a known key" in error.problem
    assert "topology new FAMILY --nodes N" in error.remedy


def test_a_disconnected_graph_is_refused():
    error = refusal(document(4, graph='family = "edges"\nedges = [["press-1", "press-2"], ["press-3", "press-4"]]'))
    assert error.problem == "plant.toml: graph is in 2 parts: press-1, press-2 cannot reach press-3, press-4"
    assert error.remedy == 'join them by an edge such as ["press-1", "press-3"]'


def test_an_unknown_neighbour_is_refused():
    error = refusal(document(4, graph='family = "edges"\nedges = [["press-1", "press-5"]]'))
    assert error.problem == 'plant.toml: graph.edges[0] names "press-5", which is no node'


@pytest.mark.parametrize(
    ("n", "graph", "consensus", "problem"),
    [
        (12, 'family = "complete"', 'committee = "grid"\nsize = 8', "grid needs n = size**r: n=12, size=8"),
        (4, 'family = "ring"', 'committee = "grid"\nsize = 2', "every pair must be an edge; press-1 – press-3 is none"),
        (4, 'family = "star"', 'committee = "cliques"', "every node needs a clique of two or more; alone: press-3"),
    ],
)
def test_committees_that_the_graph_does_not_allow(n, graph, consensus, problem):
    error = refusal(document(n, graph=graph, after=f"[consensus]\n{consensus}"))
    assert error.problem.startswith("plant.toml: consensus.committee = ")
    assert problem in error.problem
    assert 'committee = "neighbourhood"' in error.remedy


def test_column_partition_needs_its_column_and_local_may_have_data():
    assert "task.column is missing" in refusal(document(after='[task]\npartition = "column"')).problem
    text = document(after='[task]\npartition = "local"').replace('"press-1"\n', '"press-1"\ndata = "csv:/x.csv"\n', 1)
    assert parse_topology(text, "x").nodes[0].data == "csv:/x.csv"


# --- hostile files ----------------------------------------------------------------------------------------------------


def test_a_file_is_read(tmp_path):
    path = tmp_path / "plant.toml"
    path.write_text(document(), encoding="utf-8")
    assert load_topology(path) == load_topology(str(path)) == parsed()


def test_a_file_that_cannot_be_read(tmp_path):
    for path, why in [
        (tmp_path / "none.toml", "No such file"),
        (tmp_path, "Is a directory"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(TopologyError, match=why):
            load_topology(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"#" * (MAX_FILE_BYTES + 1), "larger than 1048576 bytes"),
        (b'name = "plant"\nseed = \xff', "line 2 is not UTF-8"),
        (b'name = "pl\0ant"', "not a TOML file"),
        (b"name = ", "not a TOML file: Invalid value"),
        (b"name = 1\nname = 2", "not a TOML file"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"name = " + b"[" * 9 + b"]" * 9, "name is nested too deeply"),
        (b"seed = " + b"1" * 5000, "not a TOML file"),
        (b".".join([b"a"] * 100_000) + b" = 1", "more than 32 dots"),
        (b"[" + b" . ".join([b'"a"'] * 50_000) + b"]", "more than 32 dots"),
        (b"x" * 500_000, "not a TOML file"),
        (b"", "name is missing (and 2 more)"),
    ],
    ids=range(12),
)
def test_a_hostile_file_is_one_clear_error(tmp_path, content, problem):
    path = tmp_path / "plant.toml"
    path.write_bytes(content)
    with pytest.raises(TopologyError) as refused:
        load_topology(path)
    assert refused.value.problem.startswith(f"{path}: ")
    assert problem in refused.value.problem


def is_harmless(error):
    return (error.problem + error.remedy).isprintable() and len(error.problem) < 1000


def outcome(text):
    """None, or the error; anything else that is raised fails the test."""
    try:
        parse_topology(text, "fuzz.toml")
    except TopologyError as error:
        return error
    return None


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text):
    error = outcome(text)
    assert error is not None
    assert is_harmless(error) or "not a TOML file" in error.problem


@settings(max_examples=150)
@given(st.data())
def test_no_edit_of_a_sound_file_raises_anything_else(data):
    start = data.draw(st.integers(0, len(LONG)))
    stop = data.draw(st.integers(start, min(len(LONG), start + 30)))
    outcome(LONG[:start] + data.draw(st.text(max_size=10)) + LONG[stop:])


scalars = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, 10**100, -(10**100)])
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data(), values)
def test_no_value_of_any_key_raises_anything_else(data, value):
    raw = TypeAdapter(dict).validate_python(tomllib.loads(LONG))
    raw["task"]["hidden"], raw["node"] = (16, 8), tuple(raw["node"])
    section = data.draw(
        st.sampled_from([raw, *(table for table in raw.values() if isinstance(table, dict)), raw["node"][1]])
    )
    section[data.draw(st.sampled_from(sorted(section)) | st.text(max_size=8))] = value
    try:
        Topology.of(raw, "fuzz.toml")
    except TopologyError as error:
        assert is_harmless(error), ascii(error.problem)  # noqa: PT017 - most values are refused, some are not


@given(st.text(max_size=80))
def test_a_name_is_a_folder_of_its_own(text):
    try:
        name = TypeAdapter(NodeName).validate_python(text)
    except ValidationError:
        return
    assert name == text
    assert name.isascii()
    assert not set(name) & set("/\\:\0 ")
    assert name[0] != "."
