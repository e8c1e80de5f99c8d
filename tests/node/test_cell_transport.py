"""What a node passes on for others where cells are drawn."""

import os

import numpy as np

from consensus.adjacency import Adjacency
from consensus.channel_keys import make_notice
from consensus.meeting_messages import ChannelKeyNotice
from consensus.relay_messages import Reached
from consensus.rules import mean
from consensus.seeds import Seeds
from consensus.stars import Stars
from crypto.identity import Identity
from crypto.sealing import ChannelKey
from node.cell_transport import KEYS_EACH, KEYS_EVERY_S, CellTransport
from node.guard import Guard
from overlay.transport import PeerUp, Received
from tests.consensus.guarded_swarm import Open

SWARM = b"s" * 32
IDS = [Identity.generate(os.urandom) for _ in range(4)]
ORDER = [identity.peer_id for identity in IDS]
KEY = ChannelKey.generate(os.urandom)


class Below:
    """Notes what is sent."""

    peer_id = ORDER[0]

    def __init__(self) -> None:
        self.sent = []

    def send(self, peer, message) -> None:
        self.sent.append((peer, message))


def transport(clock):
    graph = Adjacency(4, [(0, 1), (1, 2), (2, 3), (3, 0)])
    peers = set(ORDER) - {ORDER[0]}
    guard = Guard(
        Open(3),
        IDS[0],
        np.zeros(6, np.float32),
        None,
        swarm=SWARM,
        rule=mean,
        channel_key=KEY,
        made=5,
        peers=peers,
        rounds=9,
        randbytes=os.urandom,
    )
    plan = Stars(graph, 3, Seeds.first(0, 8))
    below = Below()
    cells = CellTransport(
        0, ORDER, graph, plan, guard, below, swarm=SWARM, deadline_s=1.0, first_round=0, now=lambda: clock[0]
    )
    for peer in (ORDER[1], ORDER[3]):
        cells._hear(PeerUp(peer))
    return cells, guard, below


def test_one_that_changes_its_key_all_the_time_does_not_have_all_flood_all():
    clock = [0.0]
    cells, guard, below = transport(clock)

    def change(made):
        notice = make_notice(SWARM, ORDER[1], made, KEY, IDS[1].sign)
        cells._hear(Received(ORDER[1], notice))

    def passed_on():
        return [message.made for _, message in below.sent if isinstance(message, ChannelKeyNotice)]

    for made in range(1, 200):
        change(made)
    assert passed_on() == list(range(1, KEYS_EACH + 1))
    cells._hear(Received(ORDER[1], make_notice(SWARM, ORDER[2], 1, KEY, IDS[2].sign)))
    assert len(guard.public_keys) == 2
    clock[0] += KEYS_EVERY_S
    change(500)
    assert passed_on()[-1] == 500


def test_what_neighbours_say_of_whom_they_reach_does_not_cost_the_square_of_the_swarm(monkeypatch):
    cells, _, _ = transport([0.0])
    gathered = []
    monkeypatch.setattr(Guard, "public_keys", property(lambda _: gathered.append(1) or {}))
    cells._ways = dict.fromkeys(ORDER, frozenset())
    cells._hear(Received(ORDER[1], Reached.of(0, [True, True], sits=False)))
    assert len(gathered) == 1
