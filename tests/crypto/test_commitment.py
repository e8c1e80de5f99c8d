import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import commitment
from crypto.commitment import (
    CommitmentError,
    Leaf,
    coin,
    commit_nonce,
    echo,
    encode,
    merkle_root,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "commitment.json").read_text())
parts = st.lists(st.one_of(st.binary(max_size=20), st.integers(-(2**70), 2**70), st.text(max_size=10)), max_size=5)
ROOTS = {0: b"\x01" * 32, 3: b"\x02" * 32}
NONCES = {0: b"\x03" * 32, 3: b"\x04" * 32, 11: b"\x05" * 32}


def leaves(count):
    return [Leaf(hashlib.sha256(b"c%d" % i).digest(), hashlib.sha256(b"k%d" % i).digest()) for i in range(count)]


@settings(max_examples=50, deadline=None)
@given(parts, parts)
def test_no_two_lists_of_parts_share_an_encoding(a, b):
    same = [(type(x), x) for x in a] == [(type(x), x) for x in b]
    assert (encode("d", *a) == encode("d", *b)) == same


@given(parts)
def test_an_encoding_can_be_read_back(values):
    data, read = encode("domain", *values), []
    while data:
        kind, size = data[:1], int.from_bytes(data[1:9], "big")
        body, data = data[9 : 9 + size], data[9 + size :]
        read.append(
            {b"b": bytes, b"s": bytes.decode, b"i": lambda b: int.from_bytes(b, "big", signed=True)}[kind](body)
        )
    assert read == ["domain", *values]


def test_domains_and_kinds_are_told_apart():
    assert len({encode("a", b"b"), encode("a", "b"), encode("b", b"a"), encode("a", ord("b")), encode("ab")}) == 5


@pytest.mark.parametrize("case", VECTORS["roots"], ids=lambda case: str(case["leaves"]))
def test_roots_are_those_of_an_independent_implementation(case):
    assert merkle_root(leaves(case["leaves"])).hex() == case["root"]


def test_the_coin_is_that_of_an_independent_implementation():
    assert coin("one", b"context", b"beacon", ROOTS, NONCES).hex() == VECTORS["coin"]


def test_a_root_binds_number_and_order_of_leaves():
    four = leaves(4)
    roots = [merkle_root(x) for x in (four, four[:3], [*four, four[3]], four[::-1], [*four[:3], four[2]])]
    assert len(set(roots)) == 5


def test_a_node_cannot_pass_for_a_leaf():
    four = leaves(4)
    inner = Leaf(four[0].digest(), four[1].digest())
    assert merkle_root([inner, four[2]]) != merkle_root(four[:3])


@pytest.mark.parametrize("bad", [[], [Leaf(b"short", bytes(32))], [Leaf(bytes(32), bytes(33))]])
def test_what_has_no_root_is_refused(bad):
    with pytest.raises(CommitmentError):
        merkle_root(bad)


def test_too_many_leaves_are_refused(monkeypatch):
    monkeypatch.setattr(commitment, "MAX_LEAVES", 3)
    with pytest.raises(CommitmentError, match="1 to 3"):
        merkle_root(leaves(4))


def test_a_nonce_is_bound_to_member_and_context():
    nonce = b"\x09" * 32
    variants = {commit_nonce(b"x", 1, nonce), commit_nonce(b"x", 2, nonce), commit_nonce(b"y", 1, nonce)}
    assert len(variants | {commit_nonce(b"x", 1, bytes(32))}) == 4
    with pytest.raises(CommitmentError, match="32 bytes"):
        commit_nonce(b"x", 1, b"1234")


def test_everything_that_goes_into_a_coin_changes_it():
    base = ("one", b"context", b"beacon", ROOTS, NONCES)
    variants = [
        base,
        ("two", *base[1:]),
        ("one", b"other", *base[2:]),
        ("one", b"context", b"other", *base[3:]),
        (*base[:3], {0: ROOTS[0]}, NONCES),
        (*base[:3], {0: ROOTS[3], 3: ROOTS[0]}, NONCES),
        (*base[:3], {1: ROOTS[0], 3: ROOTS[3]}, NONCES),
        (*base[:4], {0: NONCES[0], 3: NONCES[3]}),
        (*base[:4], NONCES | {3: bytes(32)}),
    ]
    assert len({coin(*variant) for variant in variants}) == len(variants)


def test_the_order_in_which_messages_came_changes_no_coin():
    backwards = dict(reversed(NONCES.items()))
    assert coin("one", b"c", b"b", ROOTS, backwards) == coin("one", b"c", b"b", ROOTS, NONCES)
    assert echo(b"c", dict(reversed(ROOTS.items()))) == echo(b"c", ROOTS)


def test_a_coin_without_a_proper_nonce_is_refused():
    with pytest.raises(CommitmentError, match="at least one"):
        coin("one", b"c", b"b", ROOTS, {})
    with pytest.raises(CommitmentError, match="member 4 has 3 bytes"):
        coin("one", b"c", b"b", ROOTS, NONCES | {4: b"abc"})
