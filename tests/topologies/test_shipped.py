"""The files that ship: sound, complete, and what their comments say."""

from pathlib import Path

import pytest

from crypto.identity import Identity
from overlay.topology import dumps, load_topology, parse_topology

FOLDER = Path(__file__).parents[2] / "topologies"
FILES = sorted(FOLDER.glob("*.toml"))
SHIPPED = {
    "adult-8",
    "adult-private-8",
    "plant-8",
    "open-8",
    "private-8",
    "masks-8",
    "ckks-8",
    "ring-8",
    "cliques-16",
    "grid-16",
    "pi-rack-4",
}


def shipped(name):
    return load_topology(FOLDER / f"{name}.toml")


def test_all_are_here():
    assert {path.stem for path in FILES} >= SHIPPED


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_sound_and_called_like_its_file(path):
    topology = load_topology(path)
    assert topology.name == path.stem
    assert len(topology.nodes) == int(path.stem.rpartition("-")[2])
    assert topology.targets.honest_accuracy is not None
    assert parse_topology(dumps(topology), "written") == topology


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_can_run_on_one_machine(path):
    topology = load_topology(path)
    keys = {name: Identity.from_seed(bytes([i]) * 32).peer_id for i, name in enumerate(topology.names)}
    copy = parse_topology(dumps(topology.on_loopback(keys)), "lab")
    assert {node.listen for node in copy.nodes} == {"/ip4/127.0.0.1/tcp/0"}
    assert copy.digest() == topology.digest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_lines_fit_a_page(path):
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120


def sizes(topology):
    return [sorted(len(topology.plan.phases_of(i, 0)[p]) for i in range(len(topology.nodes))) for p in range(2)]


def test_plant_8_is_one_clique():
    topology = shipped("plant-8")
    assert all(topology.plan.phases_of(i, 0) == (dict.fromkeys(range(8), 1 / 8),) for i in range(8))


@pytest.mark.parametrize(("name", "epsilon", "shares"), [("plant-8", 4.0, 3), ("adult-private-8", 1.0, 4)])
def test_private_files_claim_what_they_aim_at(name, epsilon, shares):
    topology = shipped(name)
    privacy = topology.privacy
    assert (privacy.sharing, privacy.dp, privacy.noise) == ("shamir", "record", "distributed")
    assert topology.targets.epsilon == privacy.epsilon == epsilon
    assert privacy.delta == 1e-5
    # Two collude, one lies, one is away, in plant-8 one sits out: the noise of the others hides each row.
    assert (topology.cell_members, topology.noise_shares) == (8, shares)


def test_plant_8_has_no_more_liars_than_it_hides_from():
    """Liars add no noise: they count among the members that epsilon is claimed against."""
    topology = shipped("plant-8")
    liars = [node.adversary for node in topology.nodes if node.adversary is not None]
    assert liars == ["sign-flip:3", "alie"]
    assert len(liars) <= topology.privacy.tolerated
    assert topology.detect.bench == 1


def test_byzantine_8_is_private_8_with_liars_and_one_that_sits_out():
    liars, private = shipped("byzantine-8"), shipped("private-8")
    assert [node.adversary for node in liars.nodes] == [None] * 6 + ["alie", "sign-flip"]
    assert liars.privacy == private.privacy
    assert liars.task == private.task
    assert liars.detect.bench == 1
    assert all(node.adversary is None for node in private.nodes)


def test_screen_8_is_private_8_weighed_by_distances():
    screened, private = shipped("screen-8"), shipped("private-8")
    assert screened.task == private.task
    assert screened.privacy.screen
    assert (screened.consensus.rule, screened.consensus.byzantine) == ("nnm+geometric-median", 2)
    assert [node.adversary for node in screened.nodes] == [None] * 7 + ["sign-flip:3"]
    assert screened.privacy.clip < private.privacy.clip  # noise on distances is measured by it


def test_open_8_hides_nothing():
    assert (shipped("open-8").privacy.sharing, shipped("open-8").privacy.dp) == ("none", "off")


def test_ring_8_sends_two_messages_a_node():
    topology = shipped("ring-8")
    assert all(len(topology.neighbours(name)) == 2 for name in topology.names)


def test_cliques_16_averages_within_halls_then_over_links():
    topology = shipped("cliques-16")
    for i, name in enumerate(topology.names):
        within, over = topology.plan.phases_of(i, 0)
        assert {topology.names[j].split("-")[0] for j in within} == {name.split("-")[0]}
        assert len(within) == 4
        assert len(over) <= 2
    assert sizes(topology)[1].count(2) == 12


def test_grid_16_has_two_phases_of_four():
    assert sizes(shipped("grid-16")) == [[4] * 16, [4] * 16]


def test_pi_rack_4_has_real_addresses_and_waits_for_the_keys():
    nodes = shipped("pi-rack-4").nodes
    assert {node.peer_id for node in nodes} == {None}
    assert not any("127.0.0.1" in node.listen or node.listen.endswith("/0") for node in nodes)


def test_the_places_of_the_keys_in_pi_rack_4_are_where_they_belong():
    text = (FOLDER / "pi-rack-4.toml").read_text(encoding="utf-8")
    keys = [Identity.from_seed(bytes([i]) * 32).peer_id for i in range(4)]
    for key in keys:
        text = text.replace('# peer_id = "12D3KooW…"', f'peer_id = "{key}"', 1)
    assert [node.peer_id for node in parse_topology(text, "edited").nodes] == keys


def test_private_ring_8_meets_in_stars_of_three():
    plan = shipped("private-ring-8").plan
    assert {len(cell) for round_ in range(40) for cell in plan.cells(round_)} == {1, 3}


def test_private_grid_16_opens_rows_and_then_averages_columns():
    assert sizes(shipped("private-grid-16")) == [[4] * 16, [4] * 16]
