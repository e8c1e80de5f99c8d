"""Seeds that all nodes share and nobody chose: under loss, late words, crashes and liars, in virtual time."""

import dataclasses
import random

import pytest

from consensus.adjacency import Adjacency
from consensus.beacon import Beacon, most_bytes
from consensus.beacon_messages import Inventory, Rumour, SeedProof, pack, unpack
from consensus.beacon_session import BeaconSession, quorum_of, tolerated
from consensus.errors import PlanError
from consensus.notary import Notary, value_of
from consensus.private_messages import Bundle, Held, Item, Role, Stage, Vote
from consensus.rumours import Rumours
from crypto.commitment import digest
from tests.consensus.beacon_swarm import DEADLINE_S, EPOCH, SWARM, Swarm, Weather, complete, ring

GRAPHS = {"ring": (8, ring(8)), "complete": (8, complete(8)), "path": (5, ring(5)[:-1]), "twelve": (12, ring(12))}


# --- fair weather -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", GRAPHS)
def test_all_learn_one_seed_an_epoch_before_it_begins(graph):
    n, edges = GRAPHS[graph]
    swarm = Swarm(n, edges).run(3 * EPOCH + 0.5)
    values = set()
    for epoch in range(1, 4):
        (drawn,) = swarm.seeds(epoch)
        values.add(drawn.value)
        assert drawn.start == epoch * EPOCH
        assert all(at < epoch * EPOCH for _, at in (swarm.learned[node][epoch] for node in range(n)))
    assert len(values) == 3
    assert not any(swarm.failed)
    assert not swarm.blamed


def test_every_nonce_counts():
    """Two runs in which one node alone draws another nonce."""
    one, other = Swarm(8, ring(8)), Swarm(8, ring(8))
    changed = dataclasses.replace(other.signer(3), randbytes=lambda size: b"?" * size)
    other.beacons[3] = Beacon(
        3, other.order, other.graph, changed, swarm=SWARM, epoch_rounds=EPOCH, deadline_s=DEADLINE_S
    )
    assert one.run(EPOCH).seeds(1) != other.run(EPOCH).seeds(1)


def test_a_complete_graph_is_not_flooded_n_times():
    n = 12
    swarm = Swarm(n, complete(n)).run(EPOCH + 0.5)
    assert len(swarm.knowing(1)) == n
    assert swarm.sent < 1.1 * 6 * n * (n - 1)  # two items and four votes of each, to each


# --- foul weather -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("graph", ["ring", "path"])
def test_loss_and_late_words_stop_nobody(graph, seed):
    n, edges = GRAPHS[graph]
    swarm = Swarm(n, edges, seed, Weather(latency_s=0.2, loss=0.2)).run(5 * EPOCH)
    for epoch in (1, 2, 3):
        assert len(swarm.seeds(epoch)) == 1
        assert swarm.knowing(epoch) == set(range(n))
    assert not swarm.blamed


@pytest.mark.parametrize("seed", range(3))
def test_words_later_than_a_deadline_split_nobody(seed):
    swarm = Swarm(8, ring(8), seed, Weather(latency_s=2 * DEADLINE_S, loss=0.3)).run(6 * EPOCH)
    for epoch in range(1, 6):
        assert len(swarm.seeds(epoch)) <= 1
    assert not swarm.blamed


@pytest.mark.parametrize("crash_s", [0.0, 4.1, 4.4, 5.0])
def test_the_others_draw_without_those_that_crashed(crash_s):
    """Two of eight: before the session, while it commits, while it reveals, after it. On a complete graph."""
    swarm = Swarm(8, complete(8), 3, Weather(latency_s=0.3, down={2: (crash_s, 1e9), 5: (crash_s, 1e9)})).run(6 * EPOCH)
    rest = {0, 1, 3, 4, 6, 7}
    for epoch in range(1, 5):
        (drawn,) = swarm.seeds(epoch)
        assert swarm.knowing(epoch) >= rest
        late = max(swarm.learned[node][epoch][1] for node in rest) - epoch * EPOCH
        assert late < 2 * DEADLINE_S + 1
        # In force at one round for all, which nobody has reached when it learns of it but in the worst of cases.
        assert epoch * EPOCH <= drawn.start <= (epoch + 1) * EPOCH
    # Only the first session waits for them: the later ones are in time.
    assert all(swarm.learned[node][4][1] < 4 * EPOCH for node in rest)


def test_too_few_draw_nothing_and_say_so():
    swarm = Swarm(8, complete(8), 3, Weather(down=dict.fromkeys((1, 2, 3), (0.0, 1e9)))).run(2 * EPOCH + 1)
    assert not swarm.seeds(1)
    for node in (0, 4, 5, 6, 7):
        assert [epoch for epoch, _ in swarm.failed[node]] == [1, 2]
        assert "stays in force" in swarm.failed[node][0][1]


def test_a_beacon_works_again_once_enough_are_back():
    swarm = Swarm(8, complete(8), 3, Weather(down=dict.fromkeys((1, 2, 3), (0.0, 9.5)))).run(5 * EPOCH)
    assert len(swarm.seeds(3)) == len(swarm.seeds(4)) == 1
    assert swarm.knowing(4) == set(range(8))


@pytest.mark.parametrize("back_s", [9.5, 12.3, 13.0, 17.0])
def test_a_node_that_was_away_learns_the_seed_from_its_neighbours(back_s):
    """Also in the middle of a session, in which it takes no part for fear of contradicting itself."""
    swarm = Swarm(8, ring(8), 5, Weather(down={4: (6.5, back_s)})).run(4 * EPOCH)
    epoch = int(back_s) // EPOCH
    (drawn,) = swarm.seeds(epoch)
    assert swarm.learned[4][epoch][0] == drawn
    assert swarm.learned[4][epoch][1] < back_s + 1
    assert len(swarm.seeds(3)) == 1
    assert 4 in swarm.knowing(3)
    assert not swarm.blamed


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16, 31, 128])
def test_the_bounds(n):
    b, quorum = tolerated(n), quorum_of(n)
    assert 2 * quorum.size - n > b + 1  # two seeds need b + 2 liars
    assert b == 0 or n - b >= quorum.size  # b that are silent stop nobody
    assert b == max(0, (n - 2) // 3)


# --- liars ------------------------------------------------------------------------------------------------------------


class Lie:
    """A liar that signs what it likes: changes what it posts itself, to each neighbour differently if it wants."""

    def __init__(self, change):
        self.change, self.sequence = change, {}

    def __call__(self, swarm, liar, to, message):
        if not isinstance(message, Rumour) or message.origin != liar:
            return [message]
        said = self.change(swarm, liar, to, unpack(message.epoch, message.body))
        return [sign(swarm, liar, message.epoch, message.sequence, one) for one in said]


def sign(swarm, liar, epoch, sequence, said):
    store = Rumours(epoch, liar, swarm.order, swarm.graph, SWARM, swarm.signer(liar))
    body = pack(said)
    return Rumour(epoch, liar, sequence, swarm.signer(liar).sign(store._statement(liar, sequence, body)), body)


def notary(swarm, liar, epoch):
    signer = swarm.signer(liar)
    return Notary(swarm.order, liar, epoch, digest("grapevine beacon v1", SWARM, epoch), signer.sign, signer.verify)


def withhold(swarm, liar, to, said):
    return [] if isinstance(said, Item) and said.stage == Stage.NONCE_1 else [said]


def reveal_another(swarm, liar, to, said):
    if isinstance(said, Item) and said.stage == Stage.NONCE_1:
        return [notary(swarm, liar, said.round).item(Stage.NONCE_1, b"?" * 36)]
    return [said]


def equivocate(swarm, liar, to, said):
    if isinstance(said, Item) and said.stage == Stage.COMMIT:
        return [notary(swarm, liar, said.round).item(Stage.COMMIT, bytes([to]) * 32)]
    return [said]


def tell_a_far_round(swarm, liar, to, said):
    if isinstance(said, Item) and said.stage == Stage.NONCE_1:
        nonce = bytes(said.body)[:32]
        return [notary(swarm, liar, said.round).item(Stage.NONCE_1, nonce + (2**31).to_bytes(4, "big"))]
    return [said]


@pytest.mark.parametrize("change", [withhold, reveal_another, equivocate, tell_a_far_round])
@pytest.mark.parametrize("graph", ["ring", "complete"])
@pytest.mark.parametrize("liars", [(3,), (3, 4), (2, 3, 4)])
def test_liars_up_to_one_more_than_tolerated_never_make_two_seeds(change, graph, liars):
    n, edges = GRAPHS[graph]
    swarm = Swarm(n, edges, 1, liars=liars, lie=Lie(change)).run(2.9 * EPOCH)
    for epoch in (1, 2):
        assert len(swarm.seeds(epoch)) <= 1
        if len(liars) <= tolerated(n):
            assert swarm.knowing(epoch) == set(swarm.honest)
            (drawn,) = swarm.seeds(epoch)
            assert drawn.start <= (epoch + 1) * EPOCH - 1
    assert swarm.blamed <= set(liars)
    if change in (reveal_another, equivocate) and len(liars) <= tolerated(n):
        assert swarm.blamed == set(liars)


def test_a_round_that_liars_say_they_have_reached_delays_nothing():
    swarm = Swarm(8, ring(8), 1, liars=(3, 4), lie=Lie(tell_a_far_round)).run(2 * EPOCH)
    (drawn,) = swarm.seeds(1)
    assert drawn.start == EPOCH


def test_who_withholds_its_nonce_has_the_choice_of_two_seeds_and_no_more():
    """The bias that is left, exactly: with it, or without it, and nothing of the others' changes."""
    silent = Swarm(8, ring(8), 1, liars=(3,), lie=Lie(withhold)).run(EPOCH + 2 * DEADLINE_S)
    again = Swarm(8, ring(8), 1, liars=(3,), lie=Lie(withhold)).run(EPOCH + 2 * DEADLINE_S)
    fair = Swarm(8, ring(8), 1).run(EPOCH)
    assert silent.seeds(1) == again.seeds(1)
    assert {d.value for d in silent.seeds(1)} != {d.value for d in fair.seeds(1)}


@pytest.mark.parametrize(("n", "liars", "seed"), [(6, (5, 4), 0), (8, (7, 6), 1), (8, (7, 6, 5), 2)])
def test_whatever_liars_say_together_there_is_one_seed(n, liars, seed):
    """They answer with every kind of word that could split the others: votes for both, false bundles, old proofs."""
    chance = random.Random(seed)

    def lie(swarm, liar, to, message):
        if not isinstance(message, Rumour):
            return [message] if chance.random() < 0.7 else []
        said = unpack(message.epoch, message.body)
        if isinstance(said, Item) and message.origin == liar:
            body = bytes([to % 2]) * 32 if said.stage == Stage.COMMIT and chance.random() < 0.5 else bytes(said.body)
            said = notary(swarm, liar, said.round).item(said.stage, body)
        extra, hand = [], notary(swarm, liar, message.epoch)
        if isinstance(said, Vote):
            extra.append(hand.vote(said.stage, said.view + chance.randint(0, 1), chance.randint(0, 1), said.value))
            other = chance.choice([said.value, b"x" * 32])
            said = hand.vote(said.stage, said.view, said.step, other) if message.origin == liar else said
        if isinstance(said, Bundle):
            held = Held.unpack(said)
            some = dict(chance.sample(sorted(held.items.items()), chance.randint(0, len(held.items))))
            lying = Held(some, held.lock, value_of(said.stage, some), held.signatures)
            extra.append(Bundle(said.round, said.stage, said.view, chance.choice(list(Role)), lying.pack()))
        out = [message] if message.origin != liar else [sign(swarm, liar, message.epoch, message.sequence, said)]
        out, extra = out if chance.random() < 0.8 else [], extra if chance.random() < 0.1 else []
        return out + [sign(swarm, liar, message.epoch, chance.randint(10, 63), one) for one in extra]

    swarm = Swarm(n, complete(n), seed, Weather(latency_s=0.05), liars=liars, lie=lie, deadline_s=0.5).run(1.4 * EPOCH)
    assert len(swarm.seeds(1)) <= 1
    if len(liars) <= tolerated(n):
        assert swarm.knowing(1) == set(swarm.honest)
    assert swarm.blamed <= set(liars)


# --- what is refused --------------------------------------------------------------------------------------------------


def some_swarm():
    swarm = Swarm(8, ring(8)).run(EPOCH + 0.5)
    return swarm, swarm.beacons[0]._proofs[0]


def fresh(swarm, node=0):
    return swarm.beacon(node, first_round=EPOCH + 1)


def test_a_proof_convinces_who_was_away():
    swarm, proof = some_swarm()
    beacon = fresh(swarm)
    assert beacon.hear(swarm.order[1], proof, 9.0) == []
    assert beacon.learned == list(swarm.seeds(1))
    assert beacon.up(swarm.order[7], 9.5) == [(swarm.order[7], proof)]


def test_all_the_seeds_that_a_neighbour_shows_at_once_are_taken():
    """Who was away for epochs may have no other neighbour, and is shown them once: when it comes up."""
    swarm = Swarm(8, ring(8)).run(3 * EPOCH + 0.5)
    proofs = [message for _, message in swarm.beacons[1].up(swarm.order[0], 0.0) if isinstance(message, SeedProof)]
    assert len(proofs) == 3
    beacon = fresh(swarm)
    for proof in proofs:
        beacon.hear(swarm.order[1], proof, 9.0)
    assert {seed.epoch for seed in beacon.learned} == {1, 2, 3}


def test_a_proof_with_one_voice_too_few_is_none():
    swarm, proof = some_swarm()
    held = Held.unpack(Bundle(0, Stage.NONCE_1, 0, Role.DECISION, proof.body))
    least = quorum_of(8).size
    for kept, taken in ((least, True), (least - 1, False)):
        voices = dict(sorted(held.signatures.items())[:kept])
        beacon = fresh(swarm)
        beacon.hear(swarm.order[1], SeedProof(0, dataclasses.replace(held, signatures=voices).pack()), 9.0)
        assert bool(beacon.learned) == taken
        assert bool(beacon.blamed) != taken


def test_altered_proofs_are_refused_and_the_neighbour_is_named():
    swarm, proof = some_swarm()
    body = bytearray(proof.body)
    for place in (0, 20, 60, len(body) // 2, len(body) - 1):
        beacon = fresh(swarm)
        altered = bytes(body[:place]) + bytes([body[place] ^ 1]) + bytes(body[place + 1 :])
        beacon.hear(swarm.order[1], SeedProof(0, altered), 9.0)
        assert not beacon.learned
        assert [peer for peer, _ in beacon.blamed] == [swarm.order[1]]


def test_a_proof_of_another_epoch_or_swarm_is_refused():
    swarm, proof = some_swarm()
    beacon = fresh(swarm)
    beacon.hear(swarm.order[1], SeedProof(1, proof.body), 9.0)
    other = Beacon(
        0, swarm.order, swarm.graph, swarm.signer(0), swarm=b"o" * 32, epoch_rounds=EPOCH, deadline_s=1.0, first_round=9
    )
    other.hear(swarm.order[1], proof, 9.0)
    assert not beacon.learned
    assert not other.learned


def test_a_neighbour_that_shows_one_bad_proof_after_another_costs_little(monkeypatch):
    swarm, proof = some_swarm()
    beacon, tried = fresh(swarm), []
    monkeypatch.setattr(Beacon, "_learn", lambda self, proof: tried.append(proof))
    for i in range(1000):
        beacon.hear(swarm.order[1], SeedProof(i + 1, proof.body), 9.0 + i * 1e-3)
    assert len(tried) <= 1 + 1.0 / (DEADLINE_S / 16)


@pytest.fixture
def store():
    swarm = Swarm(8, ring(8))
    return swarm, Rumours(0, 0, swarm.order, swarm.graph, SWARM, swarm.signer(0))


def test_a_rumour_is_news_once(store):
    swarm, rumours = store
    rumour = sign(swarm, 3, 0, 5, notary(swarm, 3, 0).item(Stage.COMMIT, b"c" * 32))
    assert rumours.hear(rumour)
    assert not rumours.hear(rumour)
    assert not rumours.hear(sign(swarm, 3, 0, 5, notary(swarm, 3, 0).item(Stage.COMMIT, b"d" * 32)))  # the first stays


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1},
        {"origin": 4},
        {"origin": 8},
        {"origin": 0},
        {"sequence": 6},
        {"sequence": 64},
        {"body": b"other"},
        {"signature": bytes(64)},
    ],
    ids=str,
)
def test_what_its_origin_did_not_sign_is_no_news(store, change):
    swarm, rumours = store
    rumour = sign(swarm, 3, 0, 5, notary(swarm, 3, 0).item(Stage.COMMIT, b"c" * 32))
    assert not rumours.hear(dataclasses.replace(rumour, **change))
    assert not rumours.all()


def test_what_is_kept_of_one_origin_is_bounded(store):
    swarm, rumours = store
    long = Bundle(0, 0, 0, 0, bytes(2**18))
    news = [rumours.hear(sign(swarm, 3, 0, sequence, long)) for sequence in range(64)]
    assert sum(news) == 3
    short = Bundle(0, 0, 0, 0, b"")
    assert sum(rumours.hear(sign(swarm, 4, 0, sequence, short)) for sequence in range(200)) == 64
    for _ in range(100):
        rumours.post(b"our own")
    assert rumours.post(b"our own") is None


def test_an_inventory_is_answered_with_what_is_missing(store):
    swarm, rumours = store
    other = Rumours(0, 1, swarm.order, swarm.graph, SWARM, swarm.signer(1))
    told = [sign(swarm, 3, 0, s, Bundle(0, 0, 0, 0, bytes([s]))) for s in (0, 5, 63)]
    for rumour in told:
        rumours.hear(rumour)
    other.hear(told[1])
    assert rumours.missing(other.inventory()) == [told[0], told[2]]
    assert other.missing(rumours.inventory()) == []
    assert rumours.missing(Inventory(0, b"short")) == []


def test_messages_from_nowhere_and_of_other_times_are_passed_over():
    swarm = Swarm(8, ring(8))
    beacon = swarm.beacons[0]
    rumour = sign(swarm, 3, 0, 5, notary(swarm, 3, 0).item(Stage.COMMIT, b"c" * 32))
    far = sign(swarm, 3, 7, 5, notary(swarm, 3, 7).item(Stage.COMMIT, b"c" * 32))
    assert beacon.hear("12D3KooWstranger", rumour, 0.0) == []
    assert beacon.hear(swarm.order[1], far, 0.0) == []
    assert [peer for peer, _ in beacon.hear(swarm.order[1], rumour, 0.0)] == [swarm.order[7]]  # where it has not been


def test_who_signs_nonsense_is_named():
    swarm = Swarm(8, ring(8))
    beacon = swarm.beacons[0]
    store = Rumours(0, 3, swarm.order, swarm.graph, SWARM, swarm.signer(3))
    for sequence, body in enumerate([b"", b"\x07", b"\x00\x00", b"\x01\x00\x00", b"\x02"]):
        signature = swarm.signer(3).sign(store._statement(3, sequence, body))
        assert beacon.hear(swarm.order[1], Rumour(0, 3, sequence, signature, body), 0.0) == []
    assert [peer for peer, _ in beacon.blamed] == [swarm.order[3]] * 5


def two_long_items(swarm, liar, to, message):
    """Whoever passes both on, as it does with two short ones, has no room left for words of its own."""
    if not isinstance(message, Rumour) or message.origin != liar:
        return [message]
    said = unpack(message.epoch, message.body)
    if not isinstance(said, Item) or said.stage != Stage.COMMIT:
        return []
    hand = notary(swarm, liar, said.round)
    items = [hand.item(Stage.COMMIT, bytes([number]) * (2**19 - 200)) for number in (0, 1)]
    return [sign(swarm, liar, message.epoch, number, item) for number, item in enumerate(items)]


def test_who_says_two_long_things_does_not_use_up_the_room_of_others():
    swarm = Swarm(8, complete(8), 1, liars=(3,), lie=two_long_items).run(EPOCH + DEADLINE_S)
    assert swarm.knowing(1) == set(swarm.honest)
    assert swarm.blamed <= {3}


def test_what_is_longer_than_honest_words_is_passed_over():
    """Padded with votes of nobody, a decision proves as much; but a proof made of it would have honest nodes blamed."""
    swarm, proof = some_swarm()
    padded = Held.unpack(Bundle(0, Stage.NONCE_1, 0, Role.DECISION, proof.body))
    padded = dataclasses.replace(padded, signatures={**padded.signatures, **dict.fromkeys(range(8, 99), bytes(64))})
    beacon = swarm.beacon(0)
    for length, said in enumerate([proof.body, padded.pack()]):
        rumour = sign(swarm, 3, 0, length, Bundle(0, Stage.NONCE_1, 0, Role.DECISION, said))
        beacon.hear(swarm.order[1], rumour, 0.0)
    assert [len(rumour.body) for rumour in beacon._open[0].rumours.all()] == [len(proof.body) + 5]


def test_items_of_another_size_are_not_passed_on():
    swarm = Swarm(8, complete(8))
    session = BeaconSession(notary(swarm, 0, 0), bytes(32), DEADLINE_S)
    session.start(0.0, range(8))
    session.advance(0.0, 0)
    for number in (0, 1):
        session.hear(3, notary(swarm, 3, 0).item(Stage.COMMIT, bytes([number]) * 3000))
    assert session.advance(0.1, 0) == []
    assert {culprit for culprit, _ in session.blamed} == {3}


def test_too_many_nodes_are_refused_with_the_bound():
    swarm = Swarm(8, ring(8))
    order = tuple(f"peer {i:03}" for i in range(129))
    with pytest.raises(PlanError, match="n <= 128 nodes: n=129"):
        Beacon(0, order, Adjacency(129, ring(129)), swarm.signer(0), swarm=SWARM, epoch_rounds=EPOCH, deadline_s=1.0)


def test_no_message_is_longer_than_the_wire_is_told():
    lengths = []

    def note(swarm, liar, to, message):
        lengths.append(len(message.body))
        return [message]

    weather = Weather(latency_s=1.5, loss=0.3)
    Swarm(8, ring(8), 4, weather, liars=range(8), lie=note).run(3 * EPOCH)
    assert 500 < max(lengths) <= most_bytes(8)
