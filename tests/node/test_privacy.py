"""From the file to the ledger: noise for the budget, the budget's end, crashes; in virtual time and for real."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from consensus.shamir_sharing import ShamirSharing
from crypto.accountant import Release
from node import journal
from node.errors import RunError, StateError
from node.learning.contribution import Plain
from node.learning.dataset import Shard
from node.learning.dp_plan import Cell
from node.learning.learner import Learner
from node.ledger import Ledger
from node.privacy import budget_of, level_of, plan_of, privacy_of
from node.rows import public_rows
from node.state import Checkpoint, StateFolder
from node.store.store import open_store
from node.store.tables import LEDGER
from overlay.topology import TopologyError, parse_topology
from tests.node.learning.test_dp_gradients import dataset
from tests.node.swarm import complete, open_swarm, ring

REPOSITORY = Path(__file__).parents[2]
VECTORS = json.loads((REPOSITORY / "tests/vectors/accountant.json").read_text())

TEXT = """
name = "cell"
[task]
model = "linear"
learning_rate = 0.5
momentum = {momentum}
batch_size = 8
[rounds]
count = {rounds}
[graph]
family = "complete"
[consensus]
committee = "cliques"
[privacy]
sharing = "{sharing}"
tolerated = 1
packing = 2
liars = 0
absentees = 1
dp = "{dp}"
noise = "{noise}"
epsilon = {epsilon}
delta = 1e-5
{more}
[[node]]
name = "a"
[[node]]
name = "b"
[[node]]
name = "c"
[[node]]
name = "d"
"""


def topology(dp="record", noise="distributed", rounds=6, epsilon=4.0, sharing="shamir", momentum=0.9, more="rows = 40"):
    values = dict(dp=dp, noise=noise, rounds=rounds, epsilon=epsilon, sharing=sharing, momentum=momentum, more=more)
    return parse_topology(TEXT.format(**values), "cell.toml")


def opened(stack, file, folder, checkpoint=None):
    store = stack.enter_context(open_store(None, folder))
    return privacy_of(file, store.database, public_rows(file), checkpoint)


def learner(file, strategy, seed):
    own = dataset(50, 7, 4, seed)
    shard = Shard(own.take(np.arange(40)), own.take(np.arange(40, 50)))
    return Learner(file.task, shard, seed=3, node=seed, strategy=strategy)


def entries(folder):
    with open_store(None, folder) as store, store.database.reading() as connection:
        return [json.loads(body) for body in connection.scalars(select(LEDGER.c.body).order_by(LEDGER.c.sequence))]


def delta_of_gaussians(multipliers, epsilon):
    """δ of all releases together by the hockey-stick integral over the privacy loss: nothing of `crypto.accountant`."""
    mean = math.fsum(z**-2 for z in multipliers) / 2
    spread = math.sqrt(2 * mean)
    loss = np.linspace(epsilon, mean + 14 * spread, 400_001)
    density = np.exp(-(((loss - mean) / spread) ** 2) / 2) / (spread * math.sqrt(2 * math.pi))
    return float(np.trapezoid(-np.expm1(epsilon - loss) * density, loss))


# --- from the file to the noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("dp", "noise", "more"), [("record", "distributed", "rows = 40"), ("update", "local", "")])
def test_a_run_from_file_to_ledger_costs_what_the_file_says_by_another_reckoning(tmp_path, dp, noise, more, epsilon):
    file = topology(dp, noise, rounds=9, epsilon=epsilon, more=more)
    with ExitStack() as stack:
        private = opened(stack, file, tmp_path)
        one = learner(file, private.strategy, 1)
        told = [one.train(number).epsilon for number in range(9)]
        assert one.train(9).spent is not None
    made = entries(tmp_path)
    assert [(e["round"], e["level"], e["noise"], e["sampling"]) for e in made] == [
        (r, dp, noise, 1.0) for r in range(9)
    ]
    delta = delta_of_gaussians([e["multiplier"] for e in made], told[-1]) + sum(e["failure"] for e in made)
    assert delta == pytest.approx(1e-5, rel=1e-3)
    assert 0.995 * epsilon < told[-1] <= epsilon
    assert told == sorted(told)


def test_a_sampled_run_costs_what_an_independent_accountant_found(tmp_path):
    """The vector's z for its ε, but for what its coarser orders and our share of δ make."""
    case = next(case for case in VECTORS["budgets"] if case["steps"] == 60 and case["sampling"] == 0.3)
    file = topology(rounds=60, epsilon=round(case["epsilon"], 6), more="rows = 40\nsampling = 0.3")
    assert plan_of(file, 40).multiplier == pytest.approx(case["multiplier"], rel=0.01)
    with ExitStack() as stack:
        one = learner(file, opened(stack, file, tmp_path).strategy, 1)
        last = [one.train(number) for number in range(60)][-1]
    assert last.epsilon == pytest.approx(case["epsilon"], rel=0.01)
    assert {entry["sampling"] for entry in entries(tmp_path)} == {0.3}


def test_local_noise_on_rows_is_charged_for_every_step(tmp_path):
    file = topology(noise="local", rounds=4, sharing="none", more="rows = 40\nsampling = 0.25")
    assert plan_of(file, 40).steps == 16
    with ExitStack() as stack:
        one = learner(file, opened(stack, file, tmp_path).strategy, 1)
        for number in range(4):
            assert one.train(number).spent is None
        assert one.train(4).spent is not None
    assert [entry["steps"] for entry in entries(tmp_path)] == [4] * 4


def test_without_noise_there_is_neither_ledger_nor_claim(tmp_path):
    text = TEXT.replace("epsilon = {epsilon}\ndelta = 1e-5\n", "")
    values = dict(dp="off", noise="local", rounds=6, sharing="shamir", momentum=0.9, more="")
    with ExitStack() as stack:
        private = opened(stack, parse_topology(text.format(**values), "cell.toml"), tmp_path)
        assert private.strategy is Plain
        assert (private.momentum, private.pack()) == (0.0, {})
    assert entries(tmp_path) == []


def test_the_cells_sum_holds_enough_noise_and_is_written_as_the_noise_says(tmp_path):
    file = topology()
    with ExitStack() as stack:
        private = opened(stack, file, tmp_path)
        sharing = private.sharing(bytes(32), 32)
    assert isinstance(sharing, ShamirSharing)
    mechanism = plan_of(file, 40).distributed(32, 0.5, cell=private_cell(file, sharing))
    assert sharing.fixed == mechanism.carrying(4)
    assert sharing.least_honest == mechanism.shares == 2  # 4 members, one colludes, one is away
    assert private.momentum == 0.9


def private_cell(file, sharing):
    return Cell(file.cell_members, file.noise_shares, sharing.proof.honest_norm)


def test_noise_that_does_not_fit_the_model_is_refused_with_what_to_do(tmp_path):
    file = topology(rounds=100, epsilon=0.2)
    with ExitStack() as stack:
        private = opened(stack, file, tmp_path)
        with pytest.raises(RunError, match="does not fit a model of 200000 parameters") as caught:
            private.sharing(bytes(32), 200_000)
    assert "smaller model" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(epsilon=2000.0), "no privacy"),
        (dict(epsilon=1e-9, more="rows = 40\nsampling = 0.5"), "no noise reaches"),
        (dict(more="rows = 40\nsampling = 1e-9", noise="local", sharing="none", rounds=1_000_000), "releases"),
    ],
)
def test_budgets_that_no_noise_keeps_are_refused_when_the_file_is_read(changes, message):
    with pytest.raises(TopologyError, match=message):
        topology(**changes)


def test_swarms_that_would_noise_for_other_numbers_of_rounds_do_not_mix():
    assert topology(rounds=6).digest() != topology(rounds=7).digest()
    assert topology(rounds=6).digest() == topology(rounds=6).digest()


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_a_ledger_older_than_the_checkpoint_is_refused(tmp_path):
    file = topology()
    with ExitStack() as stack:
        private = opened(stack, file, tmp_path)
        one = learner(file, private.strategy, 1)
        one.train(0)
        shutil.copytree(tmp_path, tmp_path / "older")
        one.train(1)
        checkpoint = Checkpoint(file.digest(), 2, one.snapshot() | private.pack())
    StateFolder(tmp_path).save_checkpoint(checkpoint)
    read = StateFolder(tmp_path).load_checkpoint()
    with ExitStack() as stack:
        opened(stack, file, tmp_path, read)
    with ExitStack() as stack, pytest.raises(StateError, match="entry 2 is missing") as caught:
        opened(stack, file, tmp_path / "older", read)
    assert "newest store" in caught.value.remedy
    with ExitStack() as stack, pytest.raises(StateError, match="missing"):
        opened(stack, file, tmp_path / "none", read)


@pytest.mark.parametrize("values", [{"ledger_entries": 1}, {"ledger_entries": "1", "ledger_digest": b"x"}])
def test_a_damaged_head_is_refused(tmp_path, values):
    with ExitStack() as stack, pytest.raises(StateError, match="head of the ledger is damaged"):
        opened(stack, topology(), tmp_path, Checkpoint(bytes(32), 1, values))


def test_other_kinds_of_noise_are_refused(tmp_path):
    with ExitStack() as stack:
        private = opened(stack, topology(), tmp_path)
        learner(topology(), private.strategy, 1).train(0)
    with ExitStack() as stack, pytest.raises(StateError, match="do not add up"):
        opened(stack, topology(dp="update", more=""), tmp_path)


# --- the end of a budget, in virtual time -----------------------------------------------------------------------------


def almost_spent(file, folder, rounds):
    """A ledger of an earlier run, after which `rounds` rounds are left."""
    plan = plan_of(file, 40)
    with open_store(None, folder) as store:
        ledger = Ledger.open(store.database, budget_of(file))
        for _ in range(file.rounds.count - rounds):
            release = plan.release()
            ledger.charge(0, release, level=level_of(file), noise=file.privacy.noise)


def told(member, kind):
    return [event for event in member.events if isinstance(event, kind)]


async def test_who_has_spent_its_budget_goes_on_averaging_and_brings_nothing(tmp_path, autojump_clock):
    file = topology(rounds=6)
    almost_spent(file, tmp_path / "0", rounds=2)
    with ExitStack() as stack:
        private = [opened(stack, file, tmp_path / str(number)) for number in range(4)]
        learners = [learner(file, one.strategy, number) for number, one in enumerate(private)]
        sharing = private[0].sharing(bytes(32), learners[0].parameters)
        async with open_swarm(
            4, complete(4), "cliques", rounds=6, deadline_s=5.0, guard=sharing, learners=learners, momentum=0.9
        ) as swarm:
            await swarm.until_all_finished()
        first, *others = swarm.members
        (spent,) = told(first, journal.PrivacySpent)
        assert spent.round == 2
        assert "averages and serves" not in spent.reason  # that is the remedy
        for number in range(6):
            rounds = [member.rounds[number] for member in swarm.members]
            assert {row.outcome for row in rounds} == {"averaged"}
            assert all(("n0" in row.present) == (number < 2) for row in rounds[1:])
            assert (rounds[0].loss is None) == (number >= 2)
        # It learned from the others what they learned from each other.
        vectors = [one.vector() for one in learners]
        assert all(np.array_equal(vector, vectors[0]) for vector in vectors)
        assert [row.epsilon for row in first.rounds.values()][1:] == [first.rounds[1].epsilon] * 5
        assert first.rounds[5].epsilon <= 4.0
        for member in others:
            assert not told(member, journal.PrivacySpent)
            assert [event.round for event in told(member, journal.Charged)] == list(range(6))
            assert member.rounds[5].epsilon == pytest.approx(4.0, rel=0.005)


async def test_in_the_open_a_spent_node_sends_only_what_was_let_out_before(tmp_path, autojump_clock):
    file = topology(noise="local", sharing="none", rounds=6)
    with ExitStack() as stack:
        learners = []
        for number in range(4):
            almost_spent(file, tmp_path / str(number), rounds=2)
            learners.append(learner(file, opened(stack, file, tmp_path / str(number)).strategy, number))
        seen = {}

        def watch(index, one):
            adopt = one.adopt

            def adopted(vector, number, *, averaged):
                seen[index, number] = (one.vector(), vector.copy())
                return adopt(vector, number, averaged=averaged)

            one.adopt = adopted

        for index, one in enumerate(learners):
            watch(index, one)
        async with open_swarm(4, ring(4), rounds=6, deadline_s=5.0, learners=learners) as swarm:
            await swarm.until_all_finished()
        for number in range(2, 6):
            for index in range(4):
                sent, _ = seen[index, number]
                _, before = seen[index, number - 1]
                assert np.array_equal(sent, before), "nothing learned since the last average"
        assert not np.array_equal(seen[0, 1][0], seen[0, 0][1]), "or else nobody ever learned"
        assert all(len(told(member, journal.PrivacySpent)) == 1 for member in swarm.members)
        spreads = [np.ptp([seen[i, number][0] for i in range(4)], axis=0).max() for number in range(2, 6)]
        assert spreads[-1] < spreads[0] / 3, "they go on averaging"


# --- kill -9 ----------------------------------------------------------------------------------------------------------

CHILD = """
import os, sys
from pathlib import Path
from node.privacy import privacy_of
from node.state import Checkpoint, StateFolder
from node.store.store import open_store
from tests.node.test_privacy import learner, topology
file = topology(noise="local", sharing="none", rounds=100_000)
folder = StateFolder(Path(sys.argv[1]))
checkpoint = folder.load_checkpoint()
with folder.locked(), open_store(None, folder.path) as store:
    private = privacy_of(file, store.database, 40, checkpoint)
    one = learner(file, private.strategy, 1)
    number = 0
    if checkpoint is not None:
        one.restore(checkpoint.learner)
        number = checkpoint.round
    while True:
        one.train(number)
        os.write(1, one.vector().tobytes()[:8])  # the model leaves the node
        number += 1
        folder.save_checkpoint(Checkpoint(file.digest(), number, one.snapshot() | private.pack()))
"""


@pytest.mark.processes
def test_kill_9_at_any_instant_leaves_no_less_in_the_ledger_than_what_left(tmp_path):
    left = 0
    for kill in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, cwd=REPOSITORY)
        try:
            for _ in range(3 + 9 * kill):
                left += len(os.read(child.stdout.fileno(), 8)) // 8
        finally:
            child.send_signal(signal.SIGKILL)
            left += len(child.stdout.read()) // 8
            child.wait()
        counted = len(entries(tmp_path))
        assert left <= counted <= left + kill + 1, "at most one training a crash that did not leave"
        head = StateFolder(tmp_path).load_checkpoint().learner["ledger_entries"]
        assert head <= counted
    assert left >= 10
    assert Release(entries(tmp_path)[0]["multiplier"]).multiplier > 100
