"""Screens in topology files: what they need, what they do not go with, and what sharing comes of them."""

from __future__ import annotations

import pytest

from consensus.private_sizes import published
from consensus.shamir_sharing import ShamirSharing
from overlay.topology_errors import TopologyError
from tests.overlay.test_topology import RECORD, parsed

SCREEN = 'sharing = "shamir"\nscreen = true\n'


def screened(privacy=SCREEN, consensus='rule = "nnm+geometric-median"\nbyzantine = 2', nodes=8):
    tables = f'[consensus]\ncommittee = "cliques"\n{consensus}\n[privacy]\n{privacy}'
    return parsed(nodes, graph='family = "complete"', after=tables)


@pytest.mark.parametrize(("byzantine", "least"), [(1, 6), (2, 6), (3, 5)])
def test_the_sum_is_of_so_many_fewer_as_the_rule_may_leave_out(byzantine, least):
    topology = screened(consensus=f'rule = "nnm+geometric-median"\nbyzantine = {byzantine}')
    sharing = topology.sharing()
    assert isinstance(sharing, ShamirSharing)
    assert sharing.screen.byzantine == byzantine
    assert sharing.least_honest + sharing.tolerated == least
    assert sharing.proof.blur.sigma == pytest.approx(0.1 * 2e6 / (least - 2) ** 0.5, rel=1e-4)


def test_a_rule_on_coordinates_is_for_what_is_open_and_the_screen_has_its_own():
    sharing = screened(consensus='rule = "trimmed-mean"\nbyzantine = 2').sharing()
    assert sharing.screen.rule == "nnm+geometric-median"
    assert screened(consensus='rule = "faba"\nbyzantine = 2').sharing().screen.rule == "faba"


def test_messages_grow_by_the_bits_of_noise_and_the_wire_is_told():
    plain = screened('sharing = "shamir"').sharing()
    wide = screened().sharing()
    words = wide.proof.blur.words + len(wide.proof.blur.pairs)
    assert wide.most_bytes(100) - plain.most_bytes(100) == 4 * words * published(plain.proof.packing)
    assert plain.proof.blur is None


def test_the_digest_covers_the_screen():
    texts = ['sharing = "shamir"', SCREEN, f"{SCREEN}screen_noise = 0.5"]
    assert len({screened(text).digest() for text in texts}) == 3
    assert screened('sharing = "shamir"\nscreen_noise = 0.5').digest() == screened('sharing = "shamir"').digest()


@pytest.mark.parametrize(
    ("privacy", "consensus", "what"),
    [
        (SCREEN, 'rule = "mean"', "consensus.byzantine is 0"),
        ('sharing = "masks"\nscreen = true', 'rule = "faba"\nbyzantine = 2', 'needs sharing = "shamir"'),
        (
            f'{SCREEN}{RECORD}noise = "distributed"',
            'rule = "faba"\nbyzantine = 2',
            'does not go with noise = "distributed"',
        ),
        (f"{SCREEN}absentees = 0\nliars = 2\npacking = 2", 'rule = "faba"\nbyzantine = 2', "2t + 1 + 2e"),
        (f"{SCREEN}screen_noise = 0.0", 'rule = "faba"\nbyzantine = 2', "screen_noise"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(privacy, consensus, what):
    with pytest.raises(TopologyError, match=what.replace("+", "\\+")):
        screened(privacy, consensus)


def test_local_noise_goes_with_a_screen_and_its_encoding_has_room_for_weights():
    topology = screened(f'{SCREEN}{RECORD}noise = "local"')
    sharing = topology.sharing()
    assert sharing.screen is not None
    assert sharing.fixed.members >= 240
