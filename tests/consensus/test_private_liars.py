"""One liar of one, at every wave: refused, named by all, and the sum of the others exact."""

from dataclasses import replace

import pytest

from consensus.effects import Heard
from consensus.private_messages import Fetch, Portion, PortionKind, Sealed, Stage
from consensus.private_supply import Entry, pack_entries
from crypto.shamir import Packing
from tests.consensus import private_liars as liars
from tests.consensus.private_cell import SIX, SIZE, Cell, terms_of

LIAR = 2
REST = (0, 1, 3, 4, 5)
ALL = (0, 1, 2, 3, 4, 5)


def run_with(liar=None, build=None, **others):
    run = Cell(terms_of(SIX, **others), build=lambda i, arguments: build(arguments) if build and i == LIAR else None)
    if liar is not None:
        run.members[LIAR].tamper = liar(run.members[LIAR])
    return run.run()


def assert_exact(run, accepted, named):
    assert run.check(but=(LIAR,)) == {accepted}
    assert run.named(but=(LIAR,)) == [named] * 5
    assert all(outcome.certified for outcome in run.outcomes(but=(LIAR,)))


@pytest.mark.parametrize("nonbits", [False, True])
def test_a_vector_that_wraps_is_refused(nonbits):
    run = run_with(build=liars.forger(liars.wrapping(SIZE), nonbits=nonbits), rows=128)
    assert_exact(run, REST, {LIAR})


def test_a_vector_three_times_too_long_is_refused():
    run = run_with(build=liars.forger(liars.tripled(SIZE, 3600)), rows=128)
    assert_exact(run, REST, {LIAR})


@pytest.mark.parametrize("holder", [0, 3, 5])
def test_one_share_off_the_codeword_is_settled_against_the_dealer(holder):
    run = run_with(build=liars.inconsistent([holder]))
    assert_exact(run, REST, {LIAR})
    reasons = {o.culprits[0].reason.split(" dealt ")[0] for o in run.outcomes(but=(LIAR,))}
    assert len(reasons) == 1


def test_two_shares_off_the_codeword():
    assert_exact(run_with(build=liars.inconsistent([0, 5])), REST, {LIAR})


def test_a_box_of_rubbish_convicts_its_dealer():
    run = run_with(build=liars.rubbish([0]))
    assert_exact(run, REST, {LIAR})
    assert all(o.culprits[0].proved for o in run.outcomes(but=(LIAR,)))


@pytest.mark.parametrize("wrong", ["another's", "cut", "longer", "of bits", "twice"])
def test_boxes_that_are_no_boxes_are_not_taken_and_the_right_ones_are_published(wrong):
    """To all holders but one. Who sent what cannot be proved to the others, so the box itself has to appear."""

    def misdirecting(member):
        def tamper(message, receiver):
            if not isinstance(message, Sealed) or message.stage != Stage.COMMIT or receiver == 5:
                return message
            dealer, other = member.round._dealer, next(h for h in REST if h != receiver)
            match wrong:
                case "another's":
                    return dealer._again(other, message.block)
                case "cut":
                    return replace(message, body=message.body[:-1])
                case "longer":
                    return replace(message, body=bytes(message.body) + b"x")
                case "of bits":
                    return replace(message, stage=Stage.PROVE)
            return [dealer._again(other, 0), message]

        return tamper

    run = run_with(misdirecting)
    (accepted,) = run.check(but=(LIAR,))
    assert accepted == ALL
    for index, named in zip(REST, run.named(but=(LIAR,)), strict=True):
        assert named <= {LIAR}
        assert LIAR in named or index == 5 or wrong in ("another's", "twice")


def test_a_dealer_that_lies_and_then_says_nothing_is_left_out():
    """It may be that it crashed and the holder lies, so nobody is named; and the sum is exact."""

    def build(index, arguments):
        return liars.inconsistent([0])(arguments) if index == LIAR else None

    run = Cell(terms_of(SIX), build=build)
    run.members[LIAR].tamper = liars.silent_from(Stage.DISPUTE)
    run.run()
    assert run.check(but=(LIAR,)) == {REST}
    assert run.named(but=(LIAR,)) == [set()] * 5


@pytest.mark.parametrize("holder", [6, 2**16 - 1])
def test_a_dealer_that_publishes_the_box_of_a_holder_that_there_is_not_is_convicted(holder):
    def answering(member):
        body = pack_entries([Entry(holder, bytes(32), b"", b"")])
        return liars.own_items_too(member, Stage.DISPUTE, lambda *_: liars._signed(member, Stage.DISPUTE, body))

    run = run_with(answering, liars.inconsistent([0, 1]))
    assert_exact(run, REST, {LIAR})
    assert all(o.culprits[0].proved for o in run.outcomes(but=(LIAR,)))


@pytest.mark.parametrize("about", [[0], [0, 4], [0, 1, 3, 4, 5], [2]])
def test_a_holder_that_lies_about_dealers_is_convicted_and_they_stay(about):
    run = run_with(lambda member: liars.lying_scalars(member, about))
    accepted = ALL if about != [LIAR] else REST
    assert_exact(run, accepted, {LIAR})
    if about != [LIAR]:
        assert all(o.culprits[0].proved and o.culprits[0].proof for o in run.outcomes(but=(LIAR,)))


@pytest.mark.parametrize(("about", "status"), [([0], 1), ([0, 4], 2), ([0, 1, 3, 4, 5], 1), ([0, 1, 3, 4, 5], 2)])
def test_a_holder_that_complains_for_nothing_excludes_nobody(about, status):
    run = run_with(lambda member: liars.complaining(member, about, status))
    assert_exact(run, ALL, set())


@pytest.mark.parametrize("to", [[0], [0, 1], [0, 1, 3, 4, 5]])
def test_a_dealer_that_holds_boxes_back_has_to_publish_them(to):
    run = run_with(lambda member: liars.without_boxes(member, to))
    accepted = run.check(but=(LIAR,))
    assert len(accepted) == 1
    assert set(accepted.pop()) >= set(REST)


@pytest.mark.parametrize("stage", [Stage.COMMIT, Stage.PROVE, Stage.SCALARS])
def test_two_items_of_one_stage_convict(stage):
    run = run_with(lambda member: liars.equivocating(member, stage))
    found = run.check(but=(LIAR,))
    assert len(found) == 1
    assert set(found.pop()) >= set(REST)
    assert run.named(but=(LIAR,)) == [{LIAR}] * 5
    for outcome in run.outcomes(but=(LIAR,)):
        assert outcome.culprits[0].proved
        assert len(outcome.culprits[0].proof) == 2


@pytest.mark.parametrize(
    ("stage", "few"),
    [
        (stage, few)
        for place, stage in enumerate([Stage.COMMIT, Stage.NONCE_1, Stage.PROVE, Stage.NONCE_2, Stage.SCALARS])
        for few in ((0, 3), (1, 4))[place % 2]
    ],
)
def test_an_item_that_only_some_are_sent_splits_nobody(stage, few):
    run = run_with(lambda member: liars.selective(member, stage, few))
    found = run.check(but=(LIAR,))
    assert len(found) == 1
    assert set(found.pop()) >= set(REST)


@pytest.mark.parametrize("stage", [Stage.NONCE_1, Stage.NONCE_2])
def test_a_nonce_that_was_not_committed_to_convicts(stage):
    run = run_with(lambda member: liars.wrong_nonce(member, stage))
    assert_exact(run, REST if stage == Stage.NONCE_1 else ALL, {LIAR})


def test_a_holder_that_lies_in_the_opening_is_located_by_every_owner():
    assert_exact(run_with(liars.wrong_share_of_the_sum), ALL, {LIAR})


@pytest.mark.parametrize("owner", [0, 3])
def test_a_holder_that_lies_to_one_owner_alone_is_named_by_all(owner):
    assert_exact(run_with(lambda member: liars.wrong_share_of_the_sum(member, [owner])), ALL, {LIAR})


def test_evidence_against_an_honest_holder_convicts_nobody_honest():
    def passing_on(member):
        heard = {}
        hear = member.round._hear

        def overhear(peer, message):
            if isinstance(message, Portion) and message.kind == PortionKind.SHARE:
                heard[peer] = message
            hear(peer, message)

        member.round._hear = overhear
        return lambda message, receiver: [message, *heard.values()]

    assert_exact(run_with(passing_on), ALL, set())


def test_an_owner_that_broadcasts_another_sum_is_caught():
    assert_exact(run_with(liars.wrong_part), ALL, {LIAR})


@pytest.mark.parametrize("some", [lambda r: r == 0, lambda r: r % 2, lambda r: r != 0])
def test_an_owner_that_tells_some_another_sum(some):
    assert_exact(run_with(lambda member: liars.wrong_part(member, some=some)), ALL, {LIAR})


def test_a_holder_that_lies_about_its_combinations_is_located():
    assert_exact(run_with(liars.wrong_checks), ALL, {LIAR})


def test_a_certificate_of_another_sum_is_no_certificate():
    assert_exact(run_with(liars.wrong_certificate), ALL, {LIAR})


def test_a_part_of_another_sum_is_refused():
    assert_exact(run_with(liars.two_openings), ALL, {LIAR})


def test_who_votes_twice_is_named():
    run = run_with(liars.voting_twice)
    assert run.check(but=(LIAR,)) == {ALL}
    assert run.named(but=(LIAR,)) == [{LIAR}] * 5


@pytest.mark.parametrize(
    "other",
    [{"number": 2}, {"swarm": bytes(32)}, {"epoch": 1}, {"layout": b"l" * 32}, {"beacon": bytes(32)}],
    ids=lambda other: next(iter(other)),
)
def test_what_was_said_in_another_round_swarm_or_epoch_is_refused(other):
    said = []
    before = Cell(replace(terms_of(SIX), **other))
    send = before.send

    def overheard(sender, receiver, message):
        if sender == 0:
            said.append((receiver, message))
        send(sender, receiver, message)

    before.send = overheard
    before.run()
    run = Cell(terms_of(SIX))
    for member in run.members:
        for receiver, message in said:
            if receiver == member.index != LIAR and not isinstance(message, Fetch):
                run.at(
                    1e-3,
                    lambda m=member, s=message: run._do(
                        m, lambda: m.round.receive(Heard(run.terms.cell[LIAR], s), 0.0)
                    ),
                )
                again = replace(message, round=3)
                run.at(
                    1e-3,
                    lambda m=member, s=again: run._do(m, lambda: m.round.receive(Heard(run.terms.cell[LIAR], s), 0.0)),
                )
    run.run()
    assert run.check(but=(LIAR,)) == {ALL}
    for index, named in zip(REST, run.named(but=(LIAR,)), strict=True):
        assert named == ({LIAR} if index else set())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (liars.inconsistent([0, 5]), liars.wrong_part),
        (liars.rubbish([3]), liars.wrong_share_of_the_sum),
        (liars.forger(liars.wrapping(SIZE)), liars.voting_twice),
    ],
)
def test_two_liars_and_an_absentee_where_two_are_tolerated(first, second):
    nine = Packing(9, 1, 2, 2, 1)
    run = Cell(terms_of(nine, rows=64), build=lambda i, arguments: first(arguments) if i == 2 else None)
    run.members[7].tamper = second(run.members[7])
    run.members[4].tamper = liars.silent_from(Stage.SCALARS)
    run.run()
    but = (2, 4, 7)
    assert run.check(but=but) == {(0, 1, 3, 4, 5, 6, 7, 8)}
    assert run.named(but=but) == [{2, 7}] * 6


@pytest.mark.parametrize(("forgers", "opened"), [((1, 2), True), ((1, 2, 5), False)])
def test_with_fewer_updates_than_h_and_t_nobody_opens(forgers, opened):
    forge = liars.forger(liars.tripled(SIZE, 3600))
    run = Cell(terms_of(SIX, rows=128), build=lambda i, arguments: forge(arguments) if i in forgers else None)
    portions = []
    send = run.send

    def counted(sender, receiver, message):
        portions.extend([message] if isinstance(message, Portion) else [])
        send(sender, receiver, message)

    run.send = counted
    run.run()
    assert run.check(but=forgers) == ({(0, 3, 4, 5)} if opened else set())
    assert bool(portions) == opened
    for outcome in run.outcomes(but=forgers):
        assert outcome.exposed == opened
        assert (outcome.void is None) == opened
