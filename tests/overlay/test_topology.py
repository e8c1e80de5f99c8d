from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from overlay.families import FAMILIES
from overlay.topology import Topology, TopologyError, dumps, parse_topology
from overlay.topology_privacy import Privacy
from overlay.topology_schema import Consensus, Node, Rounds, Targets, Task
from tests.overlay.files import LONG, PEER_IDS, document, parsed

KNOWN_DIGEST = "5e56cb22800b6d27ec49bf20b0cf59be628014034a57a0be36ea0446120fea1d"


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


def private(privacy):
    return parsed(8, graph='family = "complete"', after=f'[consensus]\ncommittee = "cliques"\n[privacy]\n{privacy}')


RECORD = 'dp = "record"\nepsilon = 1.0\ndelta = 1e-5\n'


@pytest.mark.parametrize(
    ("privacy", "keys"),
    [
        ("", ["tolerated = 1", "clip = 1.0", "packing = 2", "coordinates = 0.5", "sampling = 0.5"]),
        ('sharing = "masks"\n', ["liars = 0", "packing = 1"]),
        (f'sharing = "shamir"\nnoise = "distributed"\n{RECORD}', ["clip = 1.0"]),
    ],
)
def test_the_digest_leaves_out_numbers_that_are_not_read(privacy, keys):
    assert {private(privacy + key).digest() for key in keys} == {private(privacy).digest()}


@pytest.mark.parametrize(
    ("privacy", "keys"),
    [
        ('sharing = "masks"\n', ["tolerated = 1", "absentees = 2", "clip = 1.0", "coordinates = 0.5"]),
        ('sharing = "shamir"\n', ["packing = 2", "liars = 0", RECORD, f'{RECORD}noise = "distributed"']),
        (RECORD, ["sampling = 0.5", "record_clip = 1.0", "rows = 9"]),
    ],
)
def test_the_digest_covers_what_privacy_reads(privacy, keys):
    assert len({private(privacy + key).digest() for key in ["", *keys]}) == 1 + len(keys)


def test_the_digest_covers_the_epoch_of_committees_that_are_drawn_alone():
    def with_epoch(committee, epoch):
        return parsed(4, graph='family = "complete"', after=f"[consensus]\n{committee}\nepoch = {epoch}").digest()

    grid, cliques = 'committee = "grid"\nsize = 2', 'committee = "cliques"'
    assert with_epoch(grid, 3) != with_epoch(grid, 4)
    assert with_epoch(cliques, 3) == with_epoch(cliques, 4)


def test_the_digest_covers_the_edges_as_drawn(monkeypatch):
    """A graph library that draws another graph from the same seed is noticed when peers greet each other."""
    before = parse_topology(LONG, "x")
    monkeypatch.setattr(
        type(before.graph), "build", lambda self, names, seed: tuple(combinations(range(len(names)), 2))
    )
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


NAMES = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), min_size=2, unique_by=str.casefold)


@settings(max_examples=60)
@given(tasks, st.integers(0, 2**63 - 1), NAMES)
def test_whatever_parses_survives_being_written(task, seed, names):
    table = {"name": "x", "seed": seed, "task": task, "graph": {"family": "complete"}}
    try:
        topology = Topology.of({**table, "node": tuple({"name": name} for name in names)}, "x")
    except TopologyError:
        return
    assert parse_topology(dumps(topology), "y") == topology
