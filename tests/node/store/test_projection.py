import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from node import journal
from node.store.projection import project
from node.store.store import open_store
from node.store.tables import PEERS, VERDICTS
from tests.node.store.events import closed, evidence, known_peers, operated, started, verdict


def fold(store, *events, life=0, first=1):
    with store.database.folding() as connection:
        project(connection, life, list(enumerate(events, first)))


def peer(store, name="press-2"):
    (row,) = [row for row in known_peers(store) if row["name"] == name]
    return row


def test_a_round_is_a_row_with_its_figures(store):
    fold(store, started(), closed(7, void="no quorum", outcome="void", epsilon=1.5))
    (row,) = store.rounds()
    assert row["event"] == 2
    expected = dict(round=7, outcome="void", void="no quorum", present=["press-2"], absent=["press-3"], epsilon=1.5)
    expected |= dict(
        loss=0.5, holdout_accuracy=0.9, test_accuracy=None, bytes_received=200, champion_version=7, at=17.0
    )
    assert {key: row[key] for key in expected} == expected


def test_reputation_is_told_when_it_changes_and_comes_back(store):
    fold(store, started(), closed(1, reputation={"press-2": 60.0}), closed(2, reputation={"press-2": 60.0}))
    assert peer(store)["reputation"] == 60.0
    fold(store, closed(3, reputation={"press-2": 40.0}), closed(4), first=4)
    told = [(row["round"], row["peer"], row["score"]) for row in store.reputation("press-2")]
    assert told == [(4, "press-2", 100.0), (3, "press-2", 40.0), (1, "press-2", 60.0)]
    assert peer(store)["reputation"] == 100.0
    assert store.reputation("press-3") == []


def test_peers_come_and_go_and_are_counted(store):
    fold(
        store,
        started(),
        journal.Connected(at=2.0, peer="press-2", up=1),
        closed(0, deadline_missed=("press-3",), peer_bytes={"press-2": (5, 6)}, latency_ms={"press-2": 1.5}),
        closed(1, peer_bytes={"press-2": (5, 6)}),
        journal.Refused(at=3.0, peer="press-3", address="x", reason="greeting", count=4),
        journal.Faulted(at=3.0, round=1, peer="press-3", reason="NaN"),
    )
    two, three = peer(store), peer(store, "press-3")
    assert (two["up"], two["heard_at"], two["bytes_sent"], two["bytes_received"]) == (True, 2.0, 10, 12)
    assert (two["latency_ms"], two["peer_id"]) == (1.5, "12D3two")
    assert (three["up"], three["deadlines_missed"], three["refused"], three["faults"]) == (False, 1, 4, 1)
    fold(store, journal.Stopped(at=4.0, reason="SIGTERM"), first=9)
    assert not peer(store)["up"]
    assert peer(store)["bytes_sent"] == 10, "an old row keeps what is not told anew"


def test_a_node_that_begins_anew_holds_nothing_against_anybody_and_one_that_resumes_does(store):
    fold(store, started(), verdict(1, "evicted"), started(resumed=True))
    assert peer(store)["verdict"] == "evicted"
    fold(store, started(), first=9)
    assert (peer(store)["verdict"], peer(store)["until"]) == ("trusted", 0.0)


def test_strangers_cannot_fill_the_table(store):
    strangers = [journal.Refused(at=1.0, peer=f"Qm{i}", address="x", reason="stranger", count=1) for i in range(50)]
    fold(store, started(), *strangers, verdict(1, "quarantined", peer="Qm1"))
    assert [row["name"] for row in known_peers(store)] == ["press-2", "press-3"]
    assert store.verdicts("Qm1")[0]["after"] == "quarantined"


@pytest.mark.parametrize("together", [True, False])
def test_an_operators_word_reviews_what_came_before_it_and_nothing_after(store, together):
    events = [started(), verdict(1, "quarantined"), operated("release"), verdict(9, "quarantined", at=40.0)]
    if together:
        fold(store, *events)
    else:
        for number, event in enumerate(events, 1):
            fold(store, event, first=number)
    late, early = store.verdicts("press-2")
    assert (early["reviewed_at"], early["reviewed_by"]) == (30.0, "anna")
    assert (late["reviewed_at"], late["reviewed_by"]) == (None, None)
    assert peer(store)["verdict"] == "quarantined"
    (row,) = store.operations()
    assert (row["actor"], row["action"], row["target"], row["reason"]) == ("anna", "release", "press-2", "looked at it")


def test_text_that_a_database_would_refuse_is_kept_in_another_form(store):
    fold(store, started(), evidence(1, reason="a\x00b'); DROP TABLE peers; -- é"))
    assert store.evidence("press-2")[0]["reason"] == "a\ufffdb'); DROP TABLE peers; -- é"


def test_counts_do_not_overflow(store):
    most = {"press-2": (2**62, 2**62)}
    fold(store, started(), closed(0, peer_bytes=most, bytes_sent=2**62), closed(1, peer_bytes=most))
    assert peer(store)["bytes_sent"] == 2**62


EVENTS = st.one_of(
    st.builds(started, resumed=st.booleans()),
    st.builds(closed, st.integers(0, 9), reputation=st.dictionaries(st.sampled_from(["press-2", "who"]), st.just(9.0))),
    st.builds(evidence, st.integers(0, 9), reason=st.text()),
    st.builds(verdict, st.integers(0, 9), st.sampled_from(["quarantined", "trusted", "evicted"])),
    st.builds(operated, st.sampled_from(["release", "revoke", "pause"]), at=st.integers(30, 40)),
    st.builds(journal.Connected, at=st.just(1.0), peer=st.sampled_from(["press-3", "who"]), up=st.just(1)),
)


@settings(max_examples=12)
@given(events=st.lists(EVENTS, max_size=12), cut=st.integers(0, 12))
def test_how_events_are_cut_into_batches_makes_no_difference(tmp_path_factory, events, cut):
    seen = []
    for parts in ([events], [events[:cut], events[cut:]]):
        with open_store(None, tmp_path_factory.mktemp("cut")) as store:
            first = 1
            for part in parts:
                fold(store, *part, first=first)
                first += len(part)
            with store.database.reading() as connection:
                verdicts = connection.execute(select(VERDICTS).order_by(VERDICTS.c.event)).all()
                peers = connection.execute(select(PEERS).order_by(PEERS.c.name)).all()
            rows = [store.rounds(), store.evidence(), store.reputation(), store.operations()]
            seen.append(([row[1:] for row in verdicts], peers, rows))
    assert seen[0] == seen[1]
