"""Liars between a learner and its peers: what they say, what they keep to themselves, what they remember."""

import numpy as np
import pytest

from consensus.effects import Kept, Outcome
from consensus.masked_sharing import MaskedSharing
from consensus.private_outcome import PrivateOutcome
from consensus.shamir_sharing import ShamirSharing
from consensus.sharing import Update
from detect.peers.evidence import Severity
from node.lab.attacks_on_data import attack
from node.lab.liar import Lattice, Liar
from node.lab.lying import lattice_of, lying, rows_of
from overlay.topology import parse_topology
from tests.node.learning.swarms import blobs
from tests.node.swarm import Drift
from tests.overlay.files import document

ME, FRIEND, HONEST = "me", "friend", "honest"


def liar(name, size=6, lattice=None, **parameters):
    learner = Drift(np.zeros(size, np.float32), np.random.default_rng(1))
    friends = frozenset({ME, FRIEND})
    said = attack(name, **parameters)
    made = Liar(learner, said, me=ME, accomplices=friends, members=4, seed=1, lattice=lattice)
    return made, learner


def outcome(vector, kept=()):
    return Outcome(vector, True, (), (), (), None, tuple(kept))


def secret(mean, accepted):
    return PrivateOutcome(0, mean, accepted, (), (), None, True, (), True)


def test_it_tells_a_lie_and_learns_from_the_truth():
    made, learner = liar("sign-flip")
    before = made.vector()
    np.testing.assert_array_equal(before, learner.vector())
    made.train(0, lambda: None)
    own = learner.vector()
    np.testing.assert_allclose(made.vector(), -own, rtol=1e-6)  # it saw nobody yet
    np.testing.assert_array_equal(made.vector(), made.vector())
    np.testing.assert_array_equal(learner.vector(), own)
    made.adopt(np.ones(6, np.float32), 0, averaged=True)
    np.testing.assert_array_equal(made.vector(), np.ones(6, np.float32))


def test_it_remembers_what_honest_peers_sent_and_counts_no_accomplice():
    made, _ = liar("sign-flip")
    kept = Kept(
        np.zeros(6, np.float32), {HONEST: np.full(6, 2.0, np.float32), FRIEND: np.full(6, 99.0, np.float32)}, {}
    )
    made.review(0, outcome(np.zeros(6, np.float32), [kept]), np.zeros(6, np.float32), None)
    made.train(1, lambda: None)
    np.testing.assert_allclose(made.vector(), np.full(6, -2.0))


def test_in_secret_it_turns_round_what_the_others_brought_to_the_last_sum():
    made, _ = liar("sign-flip")
    base = np.zeros(6, np.float32)
    made.train(0, lambda: None)
    first = made.update(base).vector
    others = np.full(6, 3.0, np.float32)
    mean = ((first + 3 * others) / 4).astype(np.float32)
    made.review(0, outcome(base), base, secret(mean, (ME, "a", "b", "c")))
    made.train(1, lambda: None)
    np.testing.assert_allclose(made.update(base).vector, -others, rtol=1e-5)


def test_noise_of_an_honest_learner_is_no_part_of_the_lie():
    made, learner = liar("sign-flip")
    learner.update = lambda base: Update(np.zeros(6, np.float32), np.ones(6, np.int32))
    assert made.update(np.zeros(6, np.float32)).noise is None
    learner.update = lambda base: None
    assert made.update(np.zeros(6, np.float32)) is None


def test_where_noise_holds_the_update_it_holds_the_lie():
    """Beside it the update is clipped to next to nothing, and a liar that left it there would be a free rider."""
    made, learner = liar("sign-flip", lattice=Lattice(100.0, 1500.0), scale=3)
    learner.update = lambda base: Update(np.zeros(6, np.float32), np.full(6, 200, np.int32))
    base = np.ones(6, np.float32)
    made.train(0, lambda: None)
    said = made.update(base)  # it saw nobody: its own update, 2, three times and turned
    assert not said.vector.any()
    np.testing.assert_array_equal(said.noise, np.full(6, -600))
    made.review(0, outcome(base), base, secret(np.full(6, (-6 + 3 * 1.0) / 4, np.float32), (ME, "a", "b", "c")))
    made.train(1, lambda: None)
    np.testing.assert_allclose(made.update(base).noise, np.full(6, -300), atol=1)  # the others brought 1
    made.review(1, outcome(base), base, secret(np.full(6, 90.0, np.float32), ("a", "b", "c")))
    made.train(2, lambda: None)
    assert np.linalg.norm(made.update(base).noise) == pytest.approx(1500, abs=2)  # and no longer than is proved


@pytest.mark.parametrize("mode", ["shamir", "masks"])
def test_the_lattice_is_that_of_the_sharing(mode):
    shamir = ShamirSharing(8, 2, 3, 1, 1, clip=2.0)
    masks = MaskedSharing(8, 2, 1, clip=2.0)
    made = lattice_of(shamir if mode == "shamir" else masks)
    one = np.zeros(4, np.float32)
    one[1] = 1.0
    assert made.written(one)[1] == round((shamir if mode == "shamir" else masks).fixed.scale)
    np.testing.assert_allclose(made.read(made.written(one)), one, atol=1e-4)


def test_it_shuns_nobody_and_accuses_nobody():
    made, _ = liar("alie")
    made.fault(0, HONEST, "x", Severity.PROVED)
    made.begin()
    review = made.review(0, outcome(np.zeros(6, np.float32)), np.zeros(6, np.float32), None, made.take_faults())
    assert (review.findings.evidence, review.findings.changes, made.shunned) == ((), (), frozenset())


def topology(adversary):
    text = document(4, graph='family = "complete"')
    return parse_topology(text.replace('name = "press-2"', f'name = "press-2"\nadversary = "{adversary}"'), "x")


def test_only_the_node_that_the_file_names_lies():
    assert lying(topology("alie"), "press-1") is None
    assert lying(topology("alie"), "press-2") is not None


@pytest.mark.parametrize(("adversary", "changed"), [("label-flip", True), ("backdoor", True), ("sign-flip", False)])
def test_rows_are_changed_where_the_lie_is_about_rows(adversary, changed):
    rows = blobs(60)
    theirs = rows_of(topology(adversary), "press-2", rows)
    assert rows_of(topology(adversary), "press-1", rows) is rows
    assert (not np.array_equal(theirs.labels, rows.labels)) == changed
    assert len(theirs) == len(rows)
