"""Events as a node writes them."""

from sqlalchemy import select

from node import journal, journal_file
from node.store.tables import PEERS as PEERS_TABLE

PEERS = {"press-2": "12D3two", "press-3": "12D3three"}


def started(at=1.0, resumed=False, round=0):
    return journal.Started(
        at=at,
        name="press-1",
        peer_id="12D3one",
        address="/ip4/127.0.0.1/tcp/1",
        neighbours=PEERS,
        parameters=10,
        round=round,
        rounds=100,
        resumed=resumed,
        champion_version=0,
    )


def closed(round, at=None, **more):
    fields = dict(
        outcome="averaged",
        present=("press-2",),
        absent=("press-3",),
        train_s=0.1,
        exchange_s=0.2,
        round_s=0.3,
        loss=0.5,
        holdout_loss=0.4,
        holdout_accuracy=0.9,
        consensus_distance=0.01,
        bytes_sent=100,
        bytes_received=200,
        champion_version=round,
    )
    return journal.RoundClosed(at=10.0 + round if at is None else at, round=round, **(fields | more))


def evidence(round, peer="press-2", at=20.0, reason="too long"):
    return journal.Evidence(at=at, round=round, peer=peer, kind="norm", severity="high", reason=reason)


def verdict(round, after, before="trusted", peer="press-2", at=21.0):
    return journal.VerdictChanged(at=at, round=round, peer=peer, before=before, after=after, until=99.0, reason="facts")


def operated(action, target="press-2", at=30.0):
    return journal.Operated(at=at, round=5, actor="anna", action=action, target=target, reason="looked at it")


def known_peers(store):
    """Their rows, by name."""
    with store.database.reading() as connection:
        return [dict(row) for row in connection.execute(select(PEERS_TABLE).order_by(PEERS_TABLE.c.name)).mappings()]


def write(path, events):
    """Append `events` to the journal at `path`; their ids."""
    with journal_file.Journal.open(path) as book:
        return [book.write(event) for event in events]
