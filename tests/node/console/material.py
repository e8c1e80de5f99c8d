"""A run that has everything on its screens: promotions, a rollback, evidence, a quarantine, pauses, hostile words."""

import math

from node import journal, journal_file

PEERS = {f"press-{i}": f"12D3KooWPress{i}" for i in range(2, 9)}
BEGAN = 1_760_000_000.0
ROUNDS = 40
HOSTILE = "\x1b[2J\x1b]0;owned\x07 [red]markup[/red] [/] \u202egnp.exe"


def module(name, status="running", reason="", **settings):
    return journal.ModuleChanged(at=BEGAN, module=name, status=status, reason=reason, settings=settings)


def opening():
    yield journal.Started(
        at=BEGAN, name="press-1", peer_id="12D3KooWPress1", address="/ip4/10.0.0.1/tcp/4001", neighbours=PEERS,
        parameters=4810, round=0, rounds=ROUNDS + 10, resumed=False, champion_version=0, sharing="shamir", dp="record",
    )  # fmt: skip
    yield module("learning", dataset="digits", model="linear", learning_rate=1.0, batch_size=32)
    yield module("privacy", dp="record", epsilon=4.0, delta=1e-5, noise="distributed", record_clip=0.5)
    yield module("sharing", sharing="shamir", tolerated=2, packing=3, liars=1, absentees=1, clip=1.0)
    yield module("detection", penalty=25.0, limit=50.0, quarantine_s=120.0, group_test=True, forest=False)
    yield module("transport", "degraded", "press-7 answers no ping", listen="/ip4/10.0.0.1/tcp/4001", neighbours=7)
    yield module("store", url="sqlite", retention_days=90)
    yield module("api", "off", "no --api was given")
    for up, peer in enumerate(PEERS, 1):
        yield journal.Connected(at=BEGAN + 0.1 * up, peer=peer, up=up)
    yield journal.Ready(at=BEGAN + 1, up=7, expected=7)
    yield journal.Refused(at=BEGAN + 1.5, peer=None, address="10.9.9.9", reason=HOSTILE, count=3)


def suspicion(number, at):
    if 10 <= number < 13:
        yield journal.Evidence(
            at=at, round=number, peer="press-3", kind="distance", severity="high",
            reason="its update is 9.1 deviations from the others",
        )  # fmt: skip
    if number == 11:
        yield journal.VerdictChanged(
            at=at, round=number, peer="press-3", before="trusted", after="suspect", reason="reputation 50"
        )
    if number == 12:
        yield journal.VerdictChanged(
            at=at, round=number, peer="press-3", before="suspect", after="quarantined",
            until=BEGAN + 300, reason="reputation 25",
        )  # fmt: skip
    if number == 20:
        yield journal.Faulted(at=at, round=number, peer="press-5", reason=HOSTILE, proved=False)
    if number == 25:
        yield journal.Disconnected(at=at, peer="press-7", reason="timed out", up=6)


def reputations(number):
    score = max(25.0, 100 - 25 * (number - 9)) if number >= 10 else 100.0
    falls = {"press-3": score} if score < 100 else {}
    return falls | ({"press-5": min(99.0, 85 + (number - 20) / 2)} if number >= 20 else {})


def rounds(count=ROUNDS):
    version = 0
    for number in range(count):
        at = BEGAN + 5 * (number + 1)
        yield journal.Charged(at=at - 1, round=number, epsilon=0.6 * math.sqrt(number + 1))
        yield from suspicion(number, at)
        loss = 2.3 * math.exp(-number / 12) + 0.05 * math.sin(number)
        if number % 4 != 3:
            version += 1
            yield journal.Promoted(
                at=at, round=number, version=version, holdout_loss=loss, previous_holdout_loss=loss + 0.1
            )
        if number == 27:
            yield journal.RolledBack(at=at, round=number, to_version=version, reason="much worse for 3 rounds")
        others = tuple(peer for peer in PEERS if not (peer == "press-3" and number >= 12) and peer != "press-7")
        yield journal.RoundClosed(
            at=at, round=number, outcome="void" if number == 30 else "averaged",
            void="a part of the sum did not come" if number == 30 else None,
            present=others if number >= 25 else (*others, "press-7"), absent=("press-7",) if number >= 25 else (),
            train_s=0.1, exchange_s=0.8, round_s=1 + 0.2 * math.sin(number), loss=loss * 0.9, holdout_loss=loss,
            holdout_accuracy=min(1.0, 0.95 - 0.85 * math.exp(-number / 8) + 0.03 * math.sin(number)),
            consensus_distance=3 * math.exp(-number / 15), bytes_sent=120_000 + 900 * number,
            bytes_received=118_000 + 700 * number, champion_version=version, epsilon=0.6 * math.sqrt(number + 1),
            reputation=reputations(number),
            latency_ms={peer: 1.5 + i + math.sin(number + i) for i, peer in enumerate(PEERS)},
            layer_change={"linear.weight": 0.2 * math.exp(-number / 10), "linear.bias": 0.1 * math.exp(-number / 20)},
            peer_bytes={peer: (4000 * (i + 1), 3900 * (i + 1)) for i, peer in enumerate(PEERS)},
        )  # fmt: skip


def events():
    """All of them, in order."""
    yield from opening()
    yield from rounds()


def write(path):
    """The journal of that run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with journal_file.Journal.open(path) as book:
        for event in events():
            book.write(event)
    return path
