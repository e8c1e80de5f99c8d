"""What is kept of messages that came before their round, whoever floods."""

import numpy as np
import pytest

from consensus.encrypted_messages import Opened
from consensus.letters import Letters
from consensus.meeting_messages import BaseCopy, Standing


def letters(most_bytes: int = 10_000) -> Letters:
    return Letters(["a", "b"], rounds=20, most_bytes=most_bytes)


def standing(round_: int) -> Standing:
    return Standing(round_, bytes(32), 0)


def test_what_came_early_is_handed_over_once():
    one = letters()
    one.offer("b", standing(4))
    one.offer("a", standing(4))
    assert one.take(4) == [("a", standing(4)), ("b", standing(4))]
    assert one.take(4) == []


def test_what_is_about_a_round_that_began_or_that_never_will_is_not_kept():
    one = letters()
    one.take(3)
    for number in (2, 3, 20):
        one.offer("a", standing(number))
    assert one.take(3) == one.take(20) == []


def test_a_flood_of_rounds_pushes_out_its_own_words_alone():
    one = letters()
    one.offer("b", standing(2))
    for number in range(1, 20):
        one.offer("a", standing(number))
    assert one.take(2) == [("b", standing(2))]
    assert [len(one.take(number)) for number in (17, 18, 19)] == [0, 1, 1]


@pytest.mark.parametrize(
    "letter", [BaseCopy(4, bytes(6000)), Opened(4, b"c", bytes(64), np.zeros(1500, np.float32))], ids=lambda x: type(x)
)
def test_bytes_of_one_peer_and_round_are_bounded_whatever_they_are_in(letter):
    one = letters()
    for _ in range(10):
        one.offer("a", letter)
    assert len(one.take(4)) == 1


def test_messages_of_one_peer_and_round_are_bounded():
    one = letters()
    for _ in range(1000):
        one.offer("a", standing(4))
    assert len(one.take(4)) == 64
