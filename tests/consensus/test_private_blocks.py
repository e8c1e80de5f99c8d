"""Boxes of shares in many blocks: flow, loss, lies, and how much of them lies where."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest

import consensus.private_boxes as boxes
import consensus.private_dealer as dealing
import consensus.private_sizes as sizes
from consensus.effects import Heard
from consensus.private_boxes import WINDOW, BoxPlan, Incoming, unpack_box
from consensus.private_messages import BodyError, Fetch, Sealed, Stage
from crypto import shamir
from crypto.randomness import Stream
from crypto.shamir import Packing
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, Cell, keys, terms_of

BLOCKS = 3 * WINDOW + 1
SMALL = 16
SIZE = 2 * SMALL * BLOCKS - 5


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few columns, so that a small vector has many."""
    for module in (shamir, boxes, dealing, sizes):
        monkeypatch.setattr(module, "SHARE_BLOCK", SMALL)


def shares_in(message):
    return isinstance(message, Sealed) and message.stage == Stage.COMMIT


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weather", [{}, {"reorder": True, "repeat": 0.2}, {"loss": 0.15, "repeat": 0.1}])
def test_a_sum_of_updates_in_many_blocks_is_exact(weather):
    run = Cell(terms_of(SIX, size=SIZE), seed=3, **weather).run()
    assert run.check() in ({tuple(range(6))}, set()) if "loss" in weather else run.check() == {tuple(range(6))}


@pytest.mark.usefixtures("small_blocks")
def test_every_block_is_sent_once_where_none_is_lost():
    run, sent = Cell(terms_of(SIX, size=SIZE)), Counter()
    send = run.send

    def counted(sender, receiver, message):
        if shares_in(message):
            sent[sender, receiver, message.block] += 1
        send(sender, receiver, message)

    run.send = counted
    run.run()
    assert set(sent.values()) == {1}
    computed = SIX.members - SIX.tolerated - 1
    assert len(sent) == SIX.members * (computed * BLOCKS + SIX.tolerated)


@pytest.mark.usefixtures("small_blocks")
def test_a_dealer_is_never_more_than_a_window_ahead_of_a_holder_that_is_there():
    run = Cell(terms_of(SIX, size=SIZE))
    told, ahead = Counter(), []
    send = run.send

    def watched(sender, receiver, message):
        if isinstance(message, Fetch) and message.block:
            told[receiver, sender] = max(told[receiver, sender], message.block)
        if shares_in(message):
            ahead.append(message.block - told[sender, receiver])
        send(sender, receiver, message)

    run.send = watched
    run.run()
    assert max(ahead) == WINDOW - 1
    assert run.check() == {tuple(range(6))}


@pytest.mark.usefixtures("small_blocks")
def test_a_holder_that_takes_nothing_in_holds_dealing_up_for_one_deadline_and_is_sent_one_window():
    run = Cell(terms_of(SIX, size=SIZE))
    run.members[4].alive = False
    sent = Counter()
    send = run.send

    def counted(sender, receiver, message):
        sent[receiver] += shares_in(message)
        send(sender, receiver, message)

    run.send = counted
    run.run()
    assert run.check(but=(4,)) == {(0, 1, 2, 3, 5)}
    assert sent[4] <= 5 * WINDOW
    assert sent[0] > 3 * BLOCKS


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("block", [0, 5, BLOCKS - 1])
def test_a_lost_block_is_asked_for_and_dealt_again(block):
    run = Cell(terms_of(SIX, size=SIZE))
    holder = next(h for h in range(1, 6) if h not in run.terms.seeded(0))
    lost, send = [], run.send

    def losing(sender, receiver, message):
        if (sender, receiver) == (0, holder) and shares_in(message) and message.block == block and not lost:
            lost.append(message)
        else:
            send(sender, receiver, message)

    run.send = losing
    run.run()
    assert lost
    assert run.check() == {tuple(range(6))}
    assert not any(run.named())


def spoiled(member, block, *, to):
    """Sends one holder another block than the one it committed to."""

    def tamper(message, receiver):
        if shares_in(message) and receiver == to and message.block == block:
            body = bytearray(message.body)
            body[-1] ^= 1
            return Sealed(message.round, message.stage, bytes(body), message.block)
        return message

    return tamper


@pytest.mark.usefixtures("small_blocks")
def test_a_dealer_that_sends_other_blocks_than_it_committed_to_has_to_publish_the_box_and_stays():
    run = Cell(terms_of(SIX, size=SIZE))
    holder = next(h for h in range(1, 6) if h not in run.terms.seeded(0))
    run.members[0].tamper = spoiled(run.members[0], 7, to=holder)
    run.run()
    assert run.check() == {tuple(range(6))}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("build", [liars.rubbish([1, 2]), liars.inconsistent([3])])
def test_a_dealer_whose_last_block_lies_is_left_out_and_named(build):
    run = Cell(terms_of(SIX, size=SIZE), build=lambda index, given: build(given) if index == 0 else None).run()
    assert run.check(but=(0,)) == {(1, 2, 3, 4, 5)}
    assert run.named(but=(0,)) == [{0}] * 5


def some_block(terms, dealer, holder, block=0):
    run = Cell(terms)
    member = run.members[dealer].round._dealer
    while not member.done:
        for receiver, sealed in member.deal():
            if (receiver, sealed.block) == (holder, block):
                return sealed
    raise AssertionError("no such block")


@pytest.mark.parametrize(("block", "cut"), [(1, 0), (-1, 0), (0, 1), (2**20, 0)])
def test_a_block_that_cannot_be_one_is_refused_by_its_size_alone(block, cut):
    terms = terms_of(SIX)
    sealed = some_block(terms, 0, 1)
    box = Incoming(BoxPlan(terms, 0, 1), keys(6)[1][1])
    assert "cannot be one" in box.hear(block, sealed.body[cut:])
    assert box.hear(0, sealed.body) is None
    assert box.complete


def test_a_published_box_of_another_size_is_refused():
    terms = terms_of(SIX)
    body = bytes(some_block(terms, 0, 1).body)
    plan = BoxPlan(terms, 0, 1)
    assert unpack_box(plan, body).pack() == body
    for bad in (body[:-1], body + b"x", b""):
        with pytest.raises(BodyError):
            unpack_box(plan, bad)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_that_nobody_asked_for_are_not_kept():
    run = Cell(terms_of(SIX, size=SIZE))
    member = run.members[1].round
    holder = member._holder
    for block in (*range(1, BLOCKS), 5, 5):
        body = bytes(BoxPlan(run.terms, 0, 1).body_bytes(block))
        member.receive(Heard(run.terms.cell[0], Sealed(3, Stage.COMMIT, body, block)), 0.0)
    assert not holder._boxes[0]._digests  # without block 0 there is no key to open them with


def test_a_large_update_is_dealt_within_a_few_blocks_beyond_the_model():
    """d = 4 M at (8, 2, 3), 16 MB: a dealer keeps its lattice and a share; a holder, what it must sum up later."""
    size = 4_000_000
    terms = terms_of(Packing(8, 2, 3, 1, 1), size=size)
    plain = 4 * size
    block = 4 * shamir.SHARE_BLOCK
    update = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    chance = Stream(bytes(32), "dealer")
    tracemalloc.start()
    dealer = dealing.PrivateDealer(terms, 0, chance.take_bytes, update=update)
    while not dealer.done:
        dealer.deal()
    _, most = tracemalloc.get_traced_memory()
    assert most < plain + plain / 3 + 40 * block
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    holder = next(h for h in range(1, 8) if h not in terms.seeded(0))
    box = Incoming(BoxPlan(terms, 0, holder), keys(8)[holder][1])
    while not box.complete:
        for _, sealed in dealer.answer(holder, Fetch(3, Stage.PROVE, 3, box.next)):
            assert box.hear(sealed.block, sealed.body) is None
    after, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < plain / 3 + block
    assert most - before < plain / 3 + 40 * block
