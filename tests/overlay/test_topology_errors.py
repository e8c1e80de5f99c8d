import pytest

from overlay.topology import dumps, parse_topology
from tests.overlay.files import LONG, PEER_IDS, document, nodes, refusal

NOISED = 'dp = "record"\nepsilon = 1.0\ndelta = 1e-5\n'


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
        ("[targets]", '[privacy]\nsharing = "mask"\n[targets]', 'privacy.sharing = "mask" is unknown', '"masks"?'),
        ("[targets]", "[privacy]\nscreen = true\n[targets]", "privacy.screen = true needs sharing", '"shamir"'),
        ("[targets]", "[privacy]\nepsilon = 4.0\n[targets]", "privacy.epsilon has no effect", 'dp = "record"'),
        ("[targets]", "[privacy]\nrows = 9\n[targets]", "privacy.rows has no effect", 'dp = "record"'),
        ("[targets]", '[privacy]\nnoise = "distributed"\n[targets]', "privacy.noise has no effect", 'dp = "record"'),
        ("[targets]", '[privacy]\ndp = "record"\n[targets]', "privacy.epsilon is missing", "epsilon = 4.0"),
        ("[targets]", '[privacy]\ndp = "update"\nepsilon = 1.0\n[targets]', "privacy.delta is missing", "1e-5"),
        ("[targets]", '[privacy]\ndp = "update"\nepsilon = 0.0\n[targets]', "privacy.epsilon is 0.0", "greater than 0"),
        ("[targets]", '[privacy]\ndp = "update"\ndelta = 1.0\n[targets]', "privacy.delta is 1.0", "less than 1"),
        ("[targets]", f'[privacy]\n{NOISED}noise = "distributed"\n[targets]', "needs sharing", 'sharing = "shamir"'),
        ("[targets]", f"[privacy]\n{NOISED}sampling = 1.5\n[targets]", "privacy.sampling is 1.5", "equal to 1"),
        ("[targets]", "[privacy]\ncoordinates = 0.0\n[targets]", "privacy.coordinates is 0.0", "greater than 0"),
        ("[targets]", "[detect]\npenalty = 250\n[targets]", "detect.penalty", "100"),
        ("[targets]", '[consensus]\nrule = "krumm"\n[targets]', 'rule = "krumm" is unknown', 'did you mean "krum"?'),
        ("[targets]", "[consensus]\nbyzantine = 1\n[targets]", "one liar moves a mean anywhere", "byzantine = 0"),
        ("[targets]", '[consensus]\nrule = "krum"\nbyzantine = 9\n[targets]', "it needs 21 members", "larger"),
        ("[targets]", "[detect]\nbench = 1\n[targets]", "detect.bench = 1 is for sharing =", "bench = 0"),
        ("[targets]", '[consensus]\ncommittee = "grid"\n[targets]', "consensus.size is missing", "add size"),
        ("[targets]", '[consensus]\ncommittee = "stars"\n[targets]', "consensus.size is missing", "centre"),
        ("[targets]", '[consensus]\ncommittee = "stars"\nsize = 3\n[targets]', "for private rounds", "neighbourhood"),
        ("[targets]", "[consensus]\nsize = 2\n[targets]", 'is for committee = "grid" or "stars"', "take it out"),
        ("[targets]", "[consensus]\nepoch = 0\n[targets]", "consensus.epoch is 0", "greater than or equal to 1"),
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
        ('name = "press-2"', 'name = "p"\nadversary = "alie:x"', '"alie:x" is no strength of alie', "write alie:3"),
        ('name = "press-2"', 'name = "p"\nadversary = "mimic:2"', '"mimic:2" is no strength of mimic', "write mimic"),
        ('name = "press-2"', 'name = "p"\nadversary = "protocol-liar"', "does not say how it lies", "protocol-liar:"),
        ('name = "press-2"', 'name = "p"\nadversary = "alia"', '(p): adversary = "alia" is unknown', 'mean "alie"?'),
        ('name = "press-2"', 'name = "p"\ndata = "csv:x"', "(p): data has no effect with partition =", "local"),
        ('listen = "/ip4/127.0.0.1/tcp/0"', 'listen = "localhost"', "(press-1): listen is", "192.168.1.11/tcp/4001"),
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


def shared(nodes: int, family: str, committee: str, privacy: str = 'sharing = "shamir"') -> str:
    names = "".join(f'[[node]]\nname = "n{place}"\n' for place in range(nodes))
    return f'name = "x"\n[graph]\n{family}\n[consensus]\n{committee}\n[privacy]\n{privacy}\n{names}'


COMPLETE, D_CLIQUES = 'family = "complete"', 'family = "d-cliques"\nclique_size = 5'
CLIQUES, GRID = 'committee = "cliques"', 'committee = "grid"\nsize = 3'
SHAMIR, MASKS, CKKS = 'sharing = "shamir"\n', 'sharing = "masks"\n', 'sharing = "ckks"\n'


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        (shared(8, COMPLETE, 'committee = "neighbourhood"'), "can be subtracted", 'committee = "cliques"'),
        (shared(8, COMPLETE, 'committee = "neighbourhood"', MASKS), "can be subtracted", 'committee = "cliques"'),
        (shared(9, COMPLETE, GRID), "does not fit cells of 3: m - f >= t + l + 2e", "larger cells"),
        (shared(9, D_CLIQUES, CLIQUES), "cells of one size; the cliques here have 4 (", 'family = "complete"'),
        (shared(6, COMPLETE, CLIQUES), "m - f >= t + l + 2e", "larger cells"),
        (shared(8, COMPLETE, CLIQUES, f"{SHAMIR}absentees = 2\npacking = 2"), "is needed", "lower"),
        (shared(8, COMPLETE, CLIQUES, f"{SHAMIR}clip = 0.0"), "clip", ""),
        (shared(3, COMPLETE, CLIQUES, MASKS), "t + h <= m", "lower tolerated or absentees"),
        (shared(4, COMPLETE, CLIQUES, CKKS), "privacy.tolerated = 2 does not hold", "tolerated = 1"),
        (shared(2, COMPLETE, CLIQUES, f"{CKKS}tolerated = 1"), "a keeper, a relay and a third", "larger cells"),
        (
            shared(8, COMPLETE, f'{CLIQUES}\n[task]\npartition = "local"', NOISED),
            "privacy.rows is missing",
            "rows = 1000",
        ),
    ],
)
def test_sharing_that_hides_nothing_or_does_not_fit_is_refused_with_the_reason(text, problem, remedy):
    error = refusal(text)
    assert problem in error.problem
    assert remedy in error.remedy


@pytest.mark.parametrize("privacy", [SHAMIR, MASKS, f"{CKKS}tolerated = 1", f'{SHAMIR}{NOISED}noise = "distributed"'])
def test_sharing_on_a_clique_that_fits_is_taken(privacy):
    topology = parse_topology(shared(8, COMPLETE, CLIQUES, privacy), "x.toml")
    assert parse_topology(dumps(topology), "y.toml") == topology


def test_a_grid_of_cells_that_are_large_enough_can_share():
    grid = 'committee = "grid"\nsize = 4'
    topology = parse_topology(shared(16, COMPLETE, grid, f"{SHAMIR}tolerated = 1\npacking = 1\nliars = 0"), "x.toml")
    assert len(topology.plan.phases_of(0, 0)) == 2
