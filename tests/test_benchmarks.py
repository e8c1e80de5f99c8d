"""The benchmarks' arithmetic and their manners, without timing anything."""

from __future__ import annotations

import ast
import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from crypto.accountant import Release
from node.journal import RoundClosed
from node.lab.folder import RunFolder
from node.learning.data import Dataset, Split, save_dataset
from overlay.libp2p_limits import TransportLimits
from overlay.topology import parse_topology
from tests.benchmarks import __main__ as command
from tests.benchmarks import (
    accuracy,
    audit,
    environment,
    flow,
    peers,
    private,
    scaling,
    sharing,
    sharing_child,
    transport,
)
from tests.benchmarks.lab import LabRun
from tests.benchmarks.machine import BenchmarkError, Figures
from tests.benchmarks.processes import (
    Watched,
    isolation,
    last_words,
    loopback_counter,
    parse_stat,
    session,
    started,
    watch,
)

# --- figures


def test_an_absolute_time_comes_with_its_ratio():
    figures = Figures("x")
    assert figures.compare("round", "s", ours=0.5, theirs=2.0) == 4.0
    assert [figures[name] for name in ("round_s_ours", "round_s_theirs", "round_theirs_over_ours")] == [0.5, 2.0, 4.0]


@pytest.mark.parametrize("name", ["round_s", "round_s_ours"])
def test_a_time_without_a_ratio_is_refused(name):
    with pytest.raises(ValueError, match="use compare"):
        Figures("x").note(name, 1.0)


@pytest.mark.parametrize("two", [(0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_nothing_measured_is_no_figure(two):
    with pytest.raises(ValueError, match="above 0"):
        Figures("x").compare("round", "s", ours=two[0], theirs=two[1])


def test_a_figure_is_noted_once():
    figures = Figures("x")
    figures.note("nodes", 8)
    with pytest.raises(ValueError, match="before"):
        figures.note("nodes", 9)


def test_the_file_is_flat_and_names_the_machine(tmp_path):
    figures = Figures("x")
    figures.compare("round", "s", ours=0.123456789, theirs=1.0)
    written = json.loads(figures.write(tmp_path, "x").read_text())
    assert {"cpu", "cores", "memory_gib", "python", "torch"} <= written.keys()
    assert all(isinstance(value, str | int | float | bool) for value in written.values())
    assert written["round_s_ours"] == 0.1235
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_figure_stands_beside_its_yardsticks():
    figures = Figures("x")
    figures.beside("deal_mb_s_8_2_3", 300.0, memcpy=6000.0, tenseal=3.0)
    assert [figures[f"deal_mb_s_8_2_3{rest}"] for rest in ("", "_over_memcpy", "_over_tenseal")] == [300.0, 0.05, 100.0]
    for yardsticks in ({}, {"memcpy": 0.0}):
        with pytest.raises(ValueError, match="yardsticks"):
            figures.beside("open_mb_s", 1.0, **yardsticks)


# --- processes

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  eth0: 5 5 5 5 5 5 5 5 6 6 6 6 6 6 6 6
    lo:    3193      29    0    0    0     0          0         0     4242      29    0    0    0     0       0          0
"""  # noqa: E501 - as the kernel prints it


def test_the_loopback_counter_is_what_lo_sent():
    assert loopback_counter(NET_DEV) == 4242
    with pytest.raises(ValueError, match="lo"):
        loopback_counter(NET_DEV.replace("lo:", "wlan0:"))


def test_a_command_name_does_not_confuse_the_reader_of_stat():
    member = parse_stat("77 (a) b (c) S 1 77 70 0 -1 4194304 9 9 9 9 100 200 300 400 20 0 1 0 5 6 7 8\n")
    assert (member.pid, member.session) == (77, 70)
    assert member.cpu_s == pytest.approx(1000 / 100)


@given(st.floats(0, 10, allow_nan=False))
def test_bytes_between_two_looks_are_in_proportion(at):
    watched = Watched(began_at=0, seen_at=[1.0, 2.0, 4.0], loopback_bytes=[100, 200, 1000])
    assert watched.bytes_at(at) == pytest.approx(np.interp(at, watched.seen_at, watched.loopback_bytes))


def test_without_a_counter_the_reason_is_said():
    with pytest.raises(BenchmarkError, match="Linux"):
        Watched(began_at=0).bytes_at(1.0)


@pytest.mark.processes
def test_no_process_is_left_behind(tmp_path):
    log, leader = tmp_path / "log", 0

    def interrupted():
        nonlocal leader
        with started(["sh", "-c", "(sleep 300 & sleep 300) & echo begun; sleep 300"], log=log) as process:
            leader = process.pid
            while "begun" not in log.read_text() or len(session(leader)) < 4:
                assert process.poll() is None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert leader
    assert [member for member in session(leader) if not is_zombie(member.pid)] == []


def is_zombie(pid):
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


@pytest.mark.processes
def test_a_failure_is_told_in_the_words_of_the_command(tmp_path):
    with pytest.raises(BenchmarkError, match="ended with 3: no such thing"):
        watch(["sh", "-c", "echo no such thing; exit 3"], log=tmp_path / "log", limit_s=20)


@pytest.mark.processes
def test_a_command_is_bounded(tmp_path):
    with pytest.raises(BenchmarkError, match="within 0 s"):
        watch(["sleep", "300"], log=tmp_path / "log", limit_s=0)


@pytest.mark.processes
def test_bytes_are_those_of_the_command_alone(tmp_path):
    if not isolation():
        pytest.skip("no network namespaces here")
    program = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other, _ = server.accept()
time.sleep(0.1)
client.sendall(bytes(50_000)); other.recv(50_000, socket.MSG_WAITALL)
time.sleep(0.1)
"""
    watched = watch([sys.executable, "-c", program], log=tmp_path / "log", limit_s=30, private_loopback=True)
    in_its_own = [count for count in watched.loopback_bytes if count < 100_000]  # the first look may be at ours
    assert 50_000 < in_its_own[-1] < 60_000


def test_the_last_words_of_silence(tmp_path):
    (tmp_path / "log").write_text("")
    assert last_words(tmp_path / "log") == "it said nothing"


# --- peers


def closed(number, at, train_s=0.1, round_s=0.3, sent=10):
    return RoundClosed(
        at=at, round=number, outcome="averaged", present=(), absent=(), train_s=train_s, exchange_s=0.1,
        round_s=round_s, loss=1.0, holdout_loss=1.0, holdout_accuracy=0.5, consensus_distance=0.0, bytes_sent=sent,
        bytes_received=sent, champion_version=1,
    )  # fmt: skip


def test_a_round_ends_when_the_last_node_closes_it():
    rounds = {"a": [closed(0, 10.0), closed(1, 11.0)], "b": [closed(0, 10.5, round_s=1.0), closed(1, 10.9)]}
    run = LabRun(RunFolder(Path()), {}, rounds, Watched(began_at=0))
    assert run.round_ends == [10.5, 11.0]
    assert run.first_round_at == 9.5


def test_an_outcome_is_of_the_rounds_alone():
    watched = Watched(began_at=1.0, ended_at=20.0, cpu_s=7.0, seen_at=[0.0, 20.0], loopback_bytes=[0, 2000])
    measured = peers.outcome(watched, 5.0, [6.0, 9.0, 11.0], [0.8, 0.9])
    assert measured == peers.Outcome(
        startup_s=4.0, round_s=2.0, learning_s=6.0, total_s=19.0, cpu_s=7.0, bytes_per_round=200.0,
        accuracy=pytest.approx(0.85), accuracy_min=0.8,
    )  # fmt: skip


def test_the_median_is_taken_measure_by_measure():
    runs = [peers.Outcome(*(float(i * k) for k in range(1, 9))) for i in (3, 1, 2)]
    assert peers.median_outcome(runs) == runs[2]


@pytest.mark.parametrize(("accuracy", "rounds"), [(0.1, 1), (0.5, 2), (0.6, 3), (0.91, None)])
def test_an_accuracy_is_reached_by_the_mean_of_the_nodes(accuracy, rounds):
    assert peers.rounds_to_reach(accuracy, [[0.2, 0.4, 0.8], [0.1, 0.6, 1.0]]) == rounds


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_p2pfl_is_given_up_when_it_stalls(tmp_path):
    clock, told = Clock(), []
    progress = peers.Progress(tmp_path / "events", told.append, now=clock)
    progress.tick()
    clock.now = peers.STALL_S - 1
    progress.path.write_text('{"event": "started", "at": 1}\n{"event": "round", "round": 0, "at": 2}\n{"event": "ro')
    progress.tick()
    assert told == ["round 1"]
    clock.now = 2 * peers.STALL_S - 1
    progress.tick()
    clock.now += 2
    with pytest.raises(peers.StallError, match="after 'round'"):
        progress.tick()


def test_p2pfl_must_have_done_all_rounds(tmp_path):
    progress = peers.Progress(tmp_path / "events", lambda _: None)
    events = [{"event": "started", "at": 1.0}, {"event": "round", "round": 0, "at": 2.0}]
    progress.path.write_text("".join(json.dumps(event) + "\n" for event in events))
    progress.tick()
    with pytest.raises(BenchmarkError, match="1 of 10 rounds"):
        progress.outcome(Watched(began_at=0))


def test_p2pfl_gets_the_rows_of_the_lab(tmp_path):
    rng = np.random.default_rng(1)
    folder = RunFolder(tmp_path / "run")
    shards = {}
    for name, size in (("a", 7), ("b", 5), ("", 4)):
        features = rng.normal(size=(size, 3)).astype(np.float32)
        labels = rng.integers(0, 2, size).astype(np.int64)
        shards[name] = Dataset(features, labels, classes=("0", "1"), feature_names=("x", "y", "z"))
        path = folder.shard(name) if name else folder.test
        path.parent.mkdir(parents=True, exist_ok=True)
        save_dataset(path, shards[name])
    path = peers.export(LabRun(folder, {}, {}, Watched(began_at=0)), ["a", "b"], tmp_path / "p.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays.files) == sorted(
            ["features_0", "labels_0", "features_1", "labels_1", "test_features", "test_labels"]
        )
        for i, name in enumerate("ab"):
            assert rows(arrays[f"features_{i}"], arrays[f"labels_{i}"]) == rows(
                shards[name].features, shards[name].labels
            )
        assert np.array_equal(arrays["test_features"], shards[""].features)


def rows(features, labels):
    return sorted([*row, label] for row, label in zip(features.tolist(), labels.tolist(), strict=True))


def test_the_program_in_the_other_environment_imports_nothing_of_ours():
    tree = ast.parse(Path(peers.__file__).with_name("peers_p2pfl.py").read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names}.isdisjoint(
        {"tests", "node", "overlay", "consensus", "crypto", ""}
    )


class Installer:
    """Stands in for the processes that make an environment."""

    def __init__(self, python, fails=False):
        self.python, self.fails, self.commands = python, fails, []

    def __call__(self, command, **_):
        self.commands.append(command)
        if "venv" in command:
            self.python.parent.mkdir(parents=True, exist_ok=True)
            self.python.touch()
        elif self.fails:
            raise BenchmarkError("no matching distribution")


def test_the_environment_is_made_once_and_torch_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 11))
    install = Installer(tmp_path / "p2pfl-venv" / "bin" / "python")
    monkeypatch.setattr(environment, "watch", install)
    assert environment.p2pfl_python(tmp_path, lambda _: None) == install.python
    assert [command[-1].partition("==")[0] for command in install.commands[1:2]] == ["torch"]
    assert "p2pfl==0.4.4" in install.commands[2]
    assert "--constraint" in install.commands[2]
    before = len(install.commands)
    environment.p2pfl_python(tmp_path, lambda _: None)
    assert len(install.commands) == before


def test_an_environment_that_failed_is_not_taken_for_made(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 11))
    install = Installer(tmp_path / "p2pfl-venv" / "bin" / "python", fails=True)
    monkeypatch.setattr(environment, "watch", install)
    for _ in range(2):
        with pytest.raises(BenchmarkError, match="PIP_INDEX_URL"):
            environment.p2pfl_python(tmp_path, lambda _: None)
    assert len(install.commands) == 4


# --- transport


def test_speed_leaves_the_first_message_out_where_the_receiver_does():
    measured = transport.speed(1_000_000, 11, {"wall_s": 9.0, "cpu_s": 0.022}, {"wall_s": 0.1, "cpu_s": 0.02})
    assert measured.mb_per_s == pytest.approx(100)
    assert measured.sender_cpu_s_per_gb == pytest.approx(2.0)
    assert measured.receiver_cpu_s_per_gb == pytest.approx(2.0)


@pytest.mark.parametrize("size", transport.SIZES.values())
def test_what_is_in_flight_fits_the_outbox(size):
    limits = TransportLimits()
    assert 2 <= flow.window(size) < limits.outbox_messages
    assert flow.window(size) * size < limits.outbox_bytes


@pytest.mark.parametrize("carrier", ["raw", "transport"])
async def test_a_flow_arrives_whole(carrier, tmp_path):
    times = {}

    async def end(role):
        times[role] = await flow.ENDS[carrier, role](tmp_path, 40_000, 50)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for role in ("sender", "receiver"):
                nursery.start_soon(end, role)
    assert times.keys() == {"sender", "receiver"}
    assert all(time["wall_s"] > 0 for time in times.values())


# --- private


@pytest.mark.parametrize("size", private.PLAN)
def test_what_is_compared_differs_in_privacy_alone(size):
    plain, secret = (private.lab_of(kind, size, 7) for kind in private.KINDS)
    assert secret.privacy.sharing == "shamir"
    assert plain.privacy.sharing == "none"
    assert secret.task == plain.task
    assert secret.rounds == plain.rounds
    assert secret.rounds.count == 7 > scaling.WARM_UP
    assert secret.consensus == plain.consensus
    assert [node.adversary for node in (*plain.nodes, *secret.nodes)] == [None] * 16


# --- scaling


@pytest.mark.parametrize(("size", "wanted"), [("5k", 5e3), ("100k", 1e5), ("1m", 1e6)])
def test_the_models_have_the_size_that_they_are_called_by(size, wanted):
    assert scaling.parameters(scaling.HIDDEN[size]) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("nodes", scaling.NODES)
def test_the_topologies_are_sound_and_complete(nodes):
    topology = parse_topology(scaling.topology_text(nodes, 64), "scaling.toml")
    assert len(topology.nodes) == nodes
    assert len(topology.edges()) == nodes * (nodes - 1) // 2
    assert [len(phase) for phase in topology.plan.phases_of(0, 0)] == [nodes]


def test_the_cost_of_a_round_excludes_training_and_the_first_rounds():
    slow = [closed(i, at=i, round_s=99.0) for i in range(scaling.WARM_UP)]
    rounds = [closed(scaling.WARM_UP + i, at=9, train_s=0.5, round_s=0.5 + 0.1 * i, sent=i) for i in range(1, 4)]
    measured = scaling.cost({"a": slow + rounds, "b": slow + rounds})
    assert measured.beyond_training_s == pytest.approx(0.2)
    assert measured.round_s == pytest.approx(0.7)
    assert measured.bytes_sent_per_node == 2


# --- sharing

TABLE = {"4_1_2": 2.13, "8_2_2": 3.83, "8_2_3": 2.85, "16_5_6": 2.79}
"""4-byte words a parameter at a million of them, as they were planned."""


def test_the_words_to_send_are_those_of_the_table():
    words = {sharing_child.name_of(packing): sharing.table_words(packing, 10**6) for packing in sharing.PACKINGS}
    assert {name: words[name] for name in TABLE} == pytest.approx(TABLE, abs=0.006)


def test_a_small_measurement_gives_all_figures(monkeypatch):
    """Every round is exact; the times mean nothing at this size."""
    monkeypatch.setattr(sharing_child, "ROWS", 32)
    for module in (sharing, sharing_child):
        monkeypatch.setattr(module, "PACKINGS", sharing.PACKINGS[:2])
    timed = sharing_child.measure(3000, repeats=1)
    medians = {name: max(seconds[0], 1e-9) for name, seconds in timed.seconds.items()}
    figures = sharing.figures_of(medians, timed.sent, Console(quiet=True))
    for packing in sharing.PACKINGS:
        name = sharing_child.name_of(packing)
        for key in (f"deal_mb_s_{name}", f"open_mb_s_{name}", f"round_ms_1m_{name}"):
            assert float(figures[key]) > 0
            assert {f"{key}_over_memcpy", f"{key}_over_tenseal"} <= set(figures)
        assert (
            float(figures[f"sent_bytes_per_param_{name}"])
            > 4 * (packing.members - 1 - packing.tolerated) / packing.packed
        )


# --- accuracy


def tiny():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(1600, 6)).astype(np.float32)
    labels = (features[:, 0] + 0.3 * rng.normal(size=1600) > 0.3).astype(np.int64)
    data = Dataset(features, labels, classes=("0", "1"), feature_names=tuple("abcdef"))
    return Split(data, data)


def test_every_mode_of_accuracy_learns_and_keeps_its_budget(monkeypatch):
    quick = {8.0: accuracy.Pace(1.0, 2, 1, 2.0, 0.5)}
    monkeypatch.setattr(accuracy, "NODES", 4)
    monkeypatch.setattr(accuracy, "SHARES", 2)
    monkeypatch.setattr(accuracy, "EPSILONS", (8.0,))
    monkeypatch.setattr(accuracy, "DISTRIBUTED", quick)
    monkeypatch.setattr(accuracy, "LOCAL", {8.0: accuracy.Pace(1.0, 1, 2, 2.0, 0.5)})
    monkeypatch.setattr(accuracy, "PLAIN_ROUNDS", 6)
    scores = {name: [measure(accuracy.Swarm.of(tiny(), 1))] for name, measure in accuracy.modes().items()}
    most = accuracy.majority(tiny().test)
    assert scores.keys() == {"plain", "ckks", "local_dp_8", "distributed_dp_8", "ckks_dp_8"}
    assert scores["plain"][0] > most + 5
    assert scores["distributed_dp_8"][0] > most + 5
    assert abs(scores["plain"][0] - scores["ckks"][0]) <= 0.2
    assert abs(scores["distributed_dp_8"][0] - scores["ckks_dp_8"][0]) <= 0.2
    figures = accuracy.figures_of(scores, most)
    assert figures["earlier_dp_percent"] == 65.87
    accuracy.table(figures, Console(quiet=True))


def test_a_run_that_spends_more_than_its_budget_is_no_figure():
    with pytest.raises(BenchmarkError, match="budget"):
        accuracy._require([[Release(1.0)], [Release(1.1)]], 4.0)


# --- audit


def test_a_claim_is_measured_and_a_broken_one_is_caught():
    claim = audit.Claim(4.0)

    def game(mu):
        def play(seed):
            rng = np.random.default_rng(seed)
            return rng.normal(1, 1 / mu, 4000), rng.normal(0, 1 / mu, 4000)

        return play

    kept, broken = (audit.play(claim, game(mu), 2) for mu in (claim.mu, 1.3 * claim.mu))
    assert 0.7 * kept.claimed < kept.gaussian < kept.claimed == pytest.approx(4.0, rel=1e-3)
    assert 0.3 * kept.claimed < kept.by_rates < kept.claimed
    assert kept.games == 16_000
    assert broken.gaussian > broken.claimed


# --- the command


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["peers", "scaling"]])
def test_a_wrong_name_is_answered_with_the_right_ones(arguments, capsys):
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in ("peers", "transport", "scaling"))


@pytest.mark.parametrize("name", command.BENCHMARKS)
def test_every_name_can_be_run(name):
    assert callable(import_module(f"tests.benchmarks.{name}").run)


def test_what_cannot_be_measured_exits_1(monkeypatch, tmp_path, capsys):
    def run(folder, console):
        raise BenchmarkError("no such machine\nBuy one.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    monkeypatch.setattr(transport, "run", run)
    assert command.main(["transport"]) == 1
    assert "no such machine" in capsys.readouterr().err
    assert list((tmp_path / "build" / "bench").iterdir()) == []
