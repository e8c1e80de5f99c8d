import typing
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node import journal
from node.view import View
from node.view.model import LAYERS_MAX, ROUNDS_MAX
from node.view.peers import EVIDENCE_MAX, PEERS_MAX
from node.view.read_models import TEXT_MAX
from node.view.view import LOG_MAX

KINDS = typing.get_args(typing.get_args(journal.Event)[0])


def started(**changes):
    told = {
        "at": 1.0, "name": "press-1", "peer_id": "me", "address": "/ip4/127.0.0.1", "neighbours": {"a": "A", "b": "B"},
        "parameters": 10, "round": 0, "rounds": 30, "resumed": False, "champion_version": 0,
    }  # fmt: skip
    return journal.Started(**{**told, **changes})


def closed(number, **changes):
    told = {
        "at": 2.0 + number, "round": number, "outcome": "averaged", "present": ("a",), "absent": (), "train_s": 0.1,
        "exchange_s": 0.1, "round_s": 0.2, "loss": 0.5, "holdout_loss": 0.4, "holdout_accuracy": 0.5,
        "consensus_distance": 0.25, "bytes_sent": 1000, "bytes_received": 900, "champion_version": 0,
    }  # fmt: skip
    return journal.RoundClosed(**{**told, **changes})


def promoted(number, version):
    return journal.Promoted(at=2.0, round=number, version=version, holdout_loss=0.4, previous_holdout_loss=0.5)


def seen(*events):
    view = View()
    for number, event in enumerate(events):
        view.see(event, 10 * (number + 1))
    return view


# --- the model ------------------------------------------------------------------------------------------------------


def test_the_champion_keeps_its_accuracy_while_challengers_come_and_go():
    view = seen(
        started(), promoted(0, 1), closed(0, champion_version=1, holdout_accuracy=0.6),
        closed(1, champion_version=1, holdout_accuracy=0.3), closed(2, champion_version=1, holdout_accuracy=0.4),
    )  # fmt: skip
    assert (view.model.champion_accuracy, view.model.challenger_accuracy) == (0.6, 0.4)
    assert [row.champion_accuracy for row in view.model.rounds] == [0.6, 0.6, 0.6]
    assert [row.challenger_accuracy for row in view.model.rounds] == [0.6, 0.3, 0.4]
    assert view.model.champion_since == 0
    (version,) = view.model.versions
    assert (version.version, version.loss, version.previous_loss, version.accuracy) == (1, 0.4, 0.5, 0.6)


def test_a_champion_whose_promotion_the_journal_lost_is_one_all_the_same():
    view = seen(started(), closed(0, champion_version=4, holdout_accuracy=0.7))
    assert (view.overview.champion_version, view.overview.champion_accuracy) == (4, 0.7)


def test_a_restored_version_has_the_accuracy_it_was_promoted_with():
    view = seen(
        started(), promoted(0, 1), closed(0, champion_version=1, holdout_accuracy=0.6),
        promoted(1, 2), closed(1, champion_version=2, holdout_accuracy=0.7),
        journal.RolledBack(at=5.0, round=2, to_version=1, reason="scrap"),
    )  # fmt: skip
    assert (view.model.champion_version, view.model.champion_accuracy, view.model.rollbacks) == (1, 0.6, 1)


def test_a_round_that_is_played_again_after_a_crash_replaces_what_was_told_of_it():
    view = seen(started(), closed(0), closed(1), closed(2), started(round=1, resumed=True), closed(1, loss=9.0))
    assert [(row.round, row.loss) for row in view.model.rounds] == [(0, 0.5), (1, 9.0)]
    assert view.overview.restarts == 1
    assert view.overview.bytes_sent == 4000  # the traffic was real


@pytest.mark.parametrize("resumed", [False, True])
def test_a_version_that_is_made_again_is_listed_once(resumed):
    first = [promoted(0, 1), closed(0, champion_version=1), promoted(1, 2), closed(1, champion_version=2)]
    again = [started(round=1, resumed=True, champion_version=1), *first[2:]] if resumed else [started(), *first]
    view = seen(started(), *first, *again)
    assert [version.version for version in view.model.versions] == [1, 2]


def test_layers_are_told_by_round():
    view = seen(started(), closed(0, layer_change={"w": 0.5}), closed(1, layer_change={"w": 0.25, "b": 1.0}))
    assert view.model.layer_change == {"w": 0.25, "b": 1.0}
    assert view.model.layer_history == {"w": (0.5, 0.25), "b": (1.0,)}


# --- peers ----------------------------------------------------------------------------------------------------------


def evidence(number, peer="a", **changes):
    told = {"at": 3.0, "round": number, "peer": peer, "kind": "distance", "severity": "high", "reason": "far away"}
    return journal.Evidence(**{**told, **changes})


def test_evidence_tells_what_its_round_cost():
    view = seen(
        started(), closed(0), evidence(1), closed(1, reputation={"a": 75.0}), evidence(2), evidence(2, kind="sign"),
        closed(2, reputation={"a": 40.0}),
    )  # fmt: skip
    peer = view.peers["a"]
    assert [(fact.round, fact.before, fact.after) for fact in peer.evidence] == [
        (1, 100.0, 75.0), (2, 75.0, 40.0), (2, 75.0, 40.0),
    ]  # fmt: skip
    assert peer.history == ((0, 100.0), (1, 75.0), (2, 40.0))
    assert view.peers["b"].history[-1] == (2, 100.0)


def test_a_fault_that_the_watch_judges_is_one_fact():
    fault = journal.Faulted(at=3.0, round=1, peer="a", reason="NaN", proved=True)
    view = seen(started(), fault, evidence(1, kind="fault", severity="proved", reason="NaN"))
    peer = view.peers["a"]
    assert (len(peer.evidence), peer.evidence_total, peer.faults, peer.proved_faults) == (1, 1, 1, 1)


def test_a_quarantine_has_its_clock_and_ends():
    def verdict(before, after, until=0.0):
        return journal.VerdictChanged(
            at=3.0, round=1, peer="a", before=before, after=after, until=until, reason="reputation 40"
        )

    view = seen(started(), verdict("suspect", "quarantined", 99.0))
    assert (view.peers["a"].verdict, view.peers["a"].until, view.peers["a"].quarantines) == ("quarantined", 99.0, 1)
    assert [alert.peer for alert in view.alerts if alert.gravity == "error"] == ["a"]
    view.see(verdict("quarantined", "probation"), 1000)
    assert (view.peers["a"].verdict, view.peers["a"].until) == ("probation", 0.0)
    assert not [alert for alert in view.alerts if alert.gravity == "error"]


@pytest.mark.parametrize("after", ["quarantined", "evicted"])
def test_a_node_that_begins_anew_holds_nothing_against_anybody_and_one_that_resumes_does(after):
    verdict = journal.VerdictChanged(at=3.0, round=1, peer="a", before="trusted", after=after, until=9.0, reason="lied")
    view = seen(started(), verdict, started(resumed=True))
    assert (view.peers["a"].verdict, view.peers["a"].verdict_reason) == (after, "lied")
    view.see(started(), 1000)
    assert (view.peers["a"].verdict, view.peers["a"].until, view.peers["a"].verdict_reason) == ("trusted", 0.0, "")
    assert not [alert for alert in view.alerts if alert.gravity == "error"]


def test_bytes_latency_and_presence_are_counted_by_peer():
    view = seen(
        started(), closed(0, peer_bytes={"a": (10, 5)}, latency_ms={"a": 1.5}),
        closed(1, peer_bytes={"a": (1, 2)}, latency_ms={"a": 2.5}, absent=("b",), deadline_missed=("b",)),
    )  # fmt: skip
    a, b = view.peers["a"], view.peers["b"]
    assert (a.bytes_sent, a.bytes_received, a.last_bytes, a.latency_ms, a.latency_history) == (
        11,
        7,
        3,
        2.5,
        (1.5, 2.5),
    )
    assert (a.rounds_present, b.rounds_absent, b.deadlines_missed) == (2, 1, 1)
    assert view.overview.deadlines_missed == {"b": 1}


# --- the node -------------------------------------------------------------------------------------------------------


def test_the_state_of_a_node_follows_its_events():
    view = View()
    assert view.overview.state == "awaited"
    steps = (
        (started(), "gathering"),
        (journal.Ready(at=1.0, up=2, expected=2), "running"),
        (journal.Paused(at=2.0, round=1, cause="quorum", reason="1 of 3 up"), "paused"),
        (journal.Unpaused(at=3.0, round=1, reason="3 of 3 up"), "running"),
        (journal.Finished(at=4.0, rounds=30), "finished"),
        (journal.Stopped(at=5.0, reason="told to"), "stopped"),
        (started(round=3, resumed=True), "gathering"),
        (closed(3), "running"),
    )
    for number, (event, state) in enumerate(steps):
        view.see(event, number + 1)
        assert view.overview.state == state
        assert (view.overview.pause_cause == "quorum") is (state == "paused")


def test_a_process_that_ended_has_nobody_connected():
    up = journal.Connected(at=1.0, peer="a", up=1)
    assert seen(started(), up).overview.up == ("a",)
    assert seen(started(), up, journal.Stopped(at=2.0, reason="")).overview.up == ()
    assert seen(started(), up, started(resumed=True)).overview.up == ()


def test_modules_say_how_they_are_and_keep_their_settings():
    view = seen(
        started(sharing="shamir"),
        journal.ModuleChanged(at=2.0, module="privacy", status="running", settings={"epsilon": 4.0}),
        journal.PrivacySpent(at=3.0, round=2, epsilon=3.9, reason="round 2 would bring ε to 4.2"),
    )
    modules = view.modules
    assert modules["sharing"].status == "running"
    assert modules["detection"].status == "unknown"
    assert (modules["privacy"].status, modules["privacy"].settings) == ("degraded", {"epsilon": 4.0})
    assert (view.overview.epsilon, view.overview.epsilon_budget, view.overview.privacy_spent) == (3.9, 4.0, True)


def test_an_event_is_seen_once_wherever_a_stream_is_taken_up():
    view = View()
    for event_id in (10, 20, 10, 20, 30):
        view.see(closed(event_id), event_id)
    assert (view.overview.bytes_sent, len(view.log), view.last_id) == (3000, 3, 30)


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;owned\x07", "a\u202egnp.exe", "x" * 10_000, "two\nlines"])
def test_no_text_in_a_view_drives_a_terminal(text):
    view = seen(
        started(name=text, neighbours={text: text}), journal.Disconnected(at=1.0, peer=text, reason=text, up=0),
        journal.Refused(at=1.0, peer=None, address=text, reason=text, count=1), evidence(0, peer=text, reason=text),
        journal.Paused(at=1.0, round=0, cause="operator", reason=text),
        closed(0, outcome="void", void=text, present=(text,), layer_change={text: 1.0}),
        journal.ModuleChanged(at=1.0, module="api", status="degraded", reason=text, settings={text: text}),
        journal.Operated(at=1.0, round=0, actor=text, action="pause", target=text, reason=text),
    )  # fmt: skip
    for told in strings(view.overview, view.model, view.peers, view.modules, view.alerts, view.log):
        assert told.isprintable()
        assert len(told) <= TEXT_MAX + 150  # an alert names its peer before the reason


def strings(*things):
    """Every string anywhere in read models."""
    for thing in things:
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, dict):
            yield from strings(*thing.keys(), *thing.values())
        elif isinstance(thing, tuple):
            yield from strings(*thing)
        elif hasattr(thing, "__dataclass_fields__"):
            yield from strings(*(getattr(thing, one.name) for one in fields(thing)))


# --- any journal ----------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=12) | st.sampled_from(["a", "b", "press-1", "\x1b[2J", "[/]"])
FIGURES = {
    "Seconds": st.floats(0, 1e10), "Count": st.integers(0, 2**62), "Figure": st.floats(-1e30, 1e30),
    "Share": st.floats(0, 1), "Reputation": st.floats(0, 100), "str": TEXT, "bool": st.booleans(),
}  # fmt: skip


def strategy(annotation):
    """For an annotation as the journal has it; None for one that is not known here: its default fills it."""
    if annotation.endswith(" | None"):
        inner = strategy(annotation.removesuffix(" | None"))
        return None if inner is None else st.none() | inner
    if annotation.startswith("dict[str, ") and annotation[10:-1] in FIGURES:
        return st.dictionaries(TEXT, FIGURES[annotation[10:-1]], max_size=3)
    if annotation in ("tuple[str, ...]", "tuple[Count, ...]"):
        return st.lists(TEXT if "str" in annotation else FIGURES["Count"], max_size=3).map(tuple)
    if annotation == "dict[str, tuple[Count, Count]]":
        return st.dictionaries(TEXT, st.tuples(FIGURES["Count"], FIGURES["Count"]), max_size=3)
    return FIGURES.get(annotation)


def events_of(kind):
    """Any event of `kind`, within the bounds of the journal."""
    told = {"at": FIGURES["Seconds"]}
    for name, annotation in kind.__annotations__.items():
        found = st.sampled_from(typing.get_args(kind.model_fields[name].annotation)) if any(
            word in annotation for word in ("Literal", "VerdictName")
        ) else strategy(annotation)  # fmt: skip
        assert found is not None or not kind.model_fields[name].is_required(), f"{kind.__name__}.{name}: {annotation}"
        if found is not None:
            told[name] = found
    return st.fixed_dictionaries(told).map(lambda fields: kind(**fields))


anything = st.one_of(*(events_of(kind) for kind in KINDS))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.tuples(anything, st.integers(-5, 2**62)), max_size=12))
def test_no_order_of_any_events_makes_the_fold_raise(events):
    view = View()
    for event, event_id in events:
        view.see(event, event_id)
    assert len(view.log) <= len(events)
    assert set(view.peers) >= set(view.overview.up)
    assert view.model.rounds == () or view.overview.round > 0
    assert all(told.isprintable() for told in strings(view.overview, view.model, view.alerts, view.log))


def test_a_long_and_hostile_journal_is_kept_in_bounds():
    view, event_id = View(), 0
    for number in range(ROUNDS_MAX + 500):
        event_id += 1
        view.see(closed(number, layer_change={f"layer-{number}": 1.0}), event_id)
    names = tuple(f"peer-{number}" for number in range(PEERS_MAX + 100))
    view.see(closed(10**6, present=names, absent=names), event_id + 1)
    for number in range(EVIDENCE_MAX + 50):
        view.see(evidence(10**6, peer="peer-1", reason=f"{number}"), event_id + 2 + number)
    model = view.model
    assert len(model.rounds) <= ROUNDS_MAX
    assert model.rounds[0].round == 0
    assert len(model.rounds) + model.rounds_dropped == ROUNDS_MAX + 501
    assert len(model.layer_history) <= LAYERS_MAX
    assert len(view.peers) == PEERS_MAX
    assert view.peers_passed_over > 0
    assert len(view.overview.cell_present) <= PEERS_MAX
    assert (len(view.peers["peer-1"].evidence), view.peers["peer-1"].evidence_total) == (
        EVIDENCE_MAX,
        EVIDENCE_MAX + 50,
    )
    assert len(view.log) == LOG_MAX
    assert view.log_dropped == event_id + 1 + EVIDENCE_MAX + 50 - LOG_MAX


def test_the_latest_lines_are_those_of_the_log_newest_first_without_debug():
    one = journal.Connected(at=1.0, peer="n1", up=1)
    debug = journal.Charged(at=1.0, round=1, epsilon=0.1)
    told = [one if number % 3 else debug for number in range(30)]
    for read_after in (0, 17, 30):
        view = View()
        for number, event in enumerate(told, 1):
            view.see(event, number)
            if number == read_after:
                assert len(view.log) == read_after
        wanted = [line for line in reversed(view.log) if line.level != "debug"]
        again = View()
        for number, event in enumerate(told, 1):
            again.see(event, number)
            if number == read_after:
                assert again.log
        assert again.latest(7) == wanted[:7]
        assert again.latest(99) == wanted
        assert again.latest(0) == []
