"""A key begins a run once, whatever becomes of the state folder: on a real folder and key file."""

import errno
import shutil

import pytest
import trio

from crypto.accountant import Release
from crypto.key_file import Run
from node.assembly import NodeSpec, run_node
from node.beginning import beginning, refuse_anew, refuse_forgotten, run_of
from node.errors import StateError, plain_user_errors
from node.ledger import Budget, Ledger
from node.privacy import Claimed, Unclaimed
from node.state import Checkpoint, StateFolder
from node.store.store import open_store
from overlay.discovery import StaticBook
from overlay.topology import parse_topology
from tests.node.swarm import complete, open_swarm
from tests.node.test_privacy import topology

PLAIN = "name = 'cell'\n[graph]\nfamily = 'complete'\n{cells}" + "".join(f"[[node]]\nname = '{n}'\n" for n in "abcd")
SHARED = topology()
OPEN, UNNOISED = (
    parse_topology(PLAIN.format(cells=""), "cell.toml"),
    parse_topology(
        PLAIN.format(
            cells='[consensus]\ncommittee = "cliques"\n[privacy]\nsharing = "masks"\ntolerated = 1\nabsentees = 1\n'
        ),
        "cell.toml",
    ),
)
LOCAL = topology(sharing="none", noise="local")
BLANK = Checkpoint(SHARED.digest(), 0, {})


@pytest.fixture
def state(tmp_path):
    folder = StateFolder(tmp_path / "press-1")
    folder.create_identity()
    return folder


def begin(state, file, saved=None):
    def checkpoint(number):
        assert not state.load_key().has_begun(file.digest()), "the checkpoint is there before the key says so"
        state.save_checkpoint(saved or Checkpoint(file.digest(), number, {}))

    enter = beginning(state, state.load_key(), file, checkpoint)
    if enter is not None:
        enter(0)


def test_a_run_counts_where_something_is_shared_or_noised():
    assert run_of(OPEN) is None
    assert run_of(UNNOISED) == Run(UNNOISED.digest(), noised=False)
    assert run_of(LOCAL).noised
    assert run_of(SHARED) == Run(SHARED.digest(), noised=True)


def test_a_key_that_has_begun_a_run_does_not_begin_it_anew(state):
    refuse_anew(state, state.load_key(), SHARED, None)
    begin(state, SHARED)
    assert state.key_path.stat().st_mode & 0o777 == 0o600
    refuse_anew(state, state.load_key(), SHARED, state.load_checkpoint())
    state.checkpoint_path.unlink()
    with pytest.raises(StateError, match=r"has begun cell before.*no checkpoint of it.*epsilon") as caught:
        refuse_anew(state, state.load_key(), SHARED, state.load_checkpoint())
    assert "seed" in caught.value.remedy
    assert "grapevine node init" in caught.value.remedy
    assert str(caught.value).count("\n") == 1


def test_a_copy_of_the_key_carries_the_mark_along(state, tmp_path):
    begin(state, SHARED)
    other = StateFolder(tmp_path / "elsewhere")
    other.path.mkdir(mode=0o700)
    shutil.copy2(state.key_path, other.key_path)
    with pytest.raises(StateError, match="has begun cell"):
        refuse_anew(other, other.load_key(), SHARED, other.load_checkpoint())


def test_a_key_behind_a_link_takes_the_mark_where_it_lies(state, tmp_path):
    vault = tmp_path / "vault"
    state.key_path.rename(vault)
    state.key_path.symlink_to(vault)
    begin(state, SHARED)
    assert state.key_path.is_symlink()
    assert b"begun" in vault.read_bytes()


def test_another_seed_makes_another_run_and_both_stay_in_the_key(state):
    begin(state, SHARED)
    state.checkpoint_path.unlink()
    another = SHARED.with_overrides(seed=SHARED.seed + 1)
    refuse_anew(state, state.load_key(), another, None)
    begin(state, another)
    assert [run.digest for run in state.load_key().runs] == [SHARED.digest(), another.digest()]


def test_a_run_that_was_begun_is_not_begun_again_and_an_open_one_never(state):
    assert beginning(state, state.load_key(), OPEN, lambda _: None) is None
    refuse_anew(state, state.load_key(), OPEN, None)
    begin(state, SHARED)
    assert beginning(state, state.load_key(), SHARED, lambda _: None) is None


def test_a_crash_between_checkpoint_and_key_leaves_a_node_that_goes_on(state, monkeypatch):
    monkeypatch.setattr(StateFolder, "begin", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        begin(state, SHARED, BLANK)
    monkeypatch.undo()
    assert state.load_checkpoint() == BLANK
    refuse_anew(state, state.load_key(), SHARED, BLANK)
    begin(state, SHARED, BLANK)
    assert state.load_key().has_begun(SHARED.digest())


def test_a_key_that_cannot_be_written_begins_nothing(state, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("node.state.write_atomically", full)
    with pytest.raises(StateError, match=r"cannot take note.*Read-only"):
        state.begin(run_of(SHARED))


# --- the ledger -------------------------------------------------------------------------------------------------------


def test_a_key_that_let_something_out_wants_the_ledger_of_it(state):
    """Also in a run of another seed, with the same data."""
    begin(state, SHARED)
    key = state.load_key()
    with open_store(None, state.path) as store:
        ledger = Ledger.open(store.database, Budget(4.0, 1e-5))
        claimed = Claimed(SHARED, None, ledger)
        with pytest.raises(StateError, match=r"ledger in .* is empty") as caught:
            refuse_forgotten("store.db", key, None, claimed)
        assert "must not be used again" in caught.value.remedy
        refuse_forgotten("store.db", key, BLANK, claimed)
        refuse_forgotten("store.db", key, None, Unclaimed(OPEN))
        ledger.charge(0, Release(50.0), level="record", noise="distributed")
        refuse_forgotten("store.db", key, None, claimed)


# --- in a node --------------------------------------------------------------------------------------------------------


async def test_a_node_begins_before_it_trains_and_once(autojump_clock):
    seen = []
    async with open_swarm(4, complete(4), rounds=2, deadline_s=5.0, enter=lambda i, n: seen.append((i, n))) as swarm:
        for index, member in enumerate(swarm.members):
            train = member.learner.train

            def trained(number, pulse, index=index, train=train):
                assert (index, 0) in seen
                return train(number, pulse)

            member.learner.train = trained
        await swarm.until_all_finished()
    assert sorted(seen) == [(index, 0) for index in range(4)]


@pytest.mark.parametrize("file", [SHARED, LOCAL])
def test_a_node_whose_checkpoint_is_gone_does_not_start(state, file):
    state.begin(run_of(file))
    identity = state.load_identity()
    peers = {node.name: identity.peer_id for node in file.nodes}
    spec = NodeSpec(
        topology=file,
        name="a",
        state=state,
        journal=state.path / "journal.jsonl",
        peers=peers,
        book=StaticBook({}),
        shard=None,
    )

    async def never():
        await trio.sleep_forever()

    async def main():
        await run_node(spec, identity, stop=never)

    with pytest.raises(StateError, match="has begun cell"), plain_user_errors():
        trio.run(main)
    assert not (state.path / "journal.jsonl").exists()
    assert not (state.path / "store.db").exists()
