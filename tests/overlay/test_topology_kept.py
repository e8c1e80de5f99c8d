"""`keep_rounds`: where shares are kept, where that would be of no use, and what else is read beside it."""

import pytest

from overlay.topology import parse_topology
from overlay.topology_errors import TopologyError
from overlay.topology_sharing import KEPT_ROUNDS

HEAD = 'name = "kept"\nseed = 1\n[graph]\nfamily = "complete"\n'
SMALL = 'sharing = "shamir"\ntolerated = 1\npacking = 1\nliars = 0\n'


def of(privacy, committee='committee = "cliques"', nodes=4):
    names = "".join(f'[[node]]\nname = "n{place}"\n' for place in range(nodes))
    return parse_topology(f"{HEAD}[consensus]\n{committee}\n[privacy]\n{privacy}\n{names}", "kept")


@pytest.mark.parametrize(("line", "kept"), [("", KEPT_ROUNDS), ("keep_rounds = 0", 0), ("keep_rounds = 7", 7)])
def test_fixed_cells_keep_what_the_file_says(line, kept):
    assert of(SMALL + line).sharing().keep_rounds == kept


def test_where_it_cannot_be_used_nothing_is_kept_unless_it_is_asked_for_and_then_refused():
    grid = 'committee = "grid"\nsize = 4'
    assert of(SMALL, grid).sharing().keep_rounds == 0
    assert of(f"{SMALL}coordinates = 0.5").sharing().keep_rounds == 0
    with pytest.raises(TopologyError, match=r"keep_rounds = 2 has no effect: committee = \"grid\" draws cells anew"):
        of(f"{SMALL}keep_rounds = 2", grid)
    with pytest.raises(TopologyError, match=r"keep_rounds = 2 has no effect: rounds that are about other coordinates"):
        of(f"{SMALL}keep_rounds = 2\ncoordinates = 0.5")


@pytest.mark.parametrize("line", ["keep_rounds = -1", "keep_rounds = 65", "keep_rounds = true"])
def test_numbers_that_are_none_are_refused(line):
    with pytest.raises(TopologyError, match="keep_rounds"):
        of(SMALL + line)


def test_a_copy_with_fewer_rounds_is_sound_too():
    assert of(SMALL, 'committee = "grid"\nsize = 4').with_overrides(rounds=2).sharing().keep_rounds == 0


def test_all_must_agree_on_it_and_the_wire_lets_through_what_it_needs():
    assert len({of(SMALL + line).digest() for line in ("", "keep_rounds = 0", "keep_rounds = 5")}) == 3
    size = 100_000
    most = [of(f"{SMALL}keep_rounds = {kept}").sharing().most_bytes(size) for kept in (0, 64)]
    assert most[1] >= 4 * 64 * 4 * size > most[0]


def test_a_rate_is_each_nodes_own_business_and_what_is_sent_is_all_of_theirs():
    rounds = [
        of('sharing = "none"', f'committee = "cliques"\n{more}').digest()
        for more in ("", "[rounds]\nsend_threshold = 0.05")
    ]
    assert len(set(rounds)) == 2
    rates = [
        of('sharing = "none"', f'committee = "cliques"\n[task]\nadaptive_rate = {value}').digest()
        for value in ("true", "false")
    ]
    assert len(set(rates)) == 1


def test_what_does_not_go_with_secrets_or_noise_is_refused():
    with pytest.raises(TopologyError, match=r"send_threshold = 0.05 does not go with sharing = \"shamir\""):
        of(SMALL, 'committee = "cliques"\n[rounds]\nsend_threshold = 0.05')
    noise = 'sharing = "none"\ndp = "record"\nepsilon = 1.0\ndelta = 1e-5'
    with pytest.raises(TopologyError, match=r"adaptive_rate = true does not go with dp = \"record\""):
        of(noise, 'committee = "cliques"\n[task]\nadaptive_rate = true')
