"""Two statements of one author: what convicts it, whoever shows them, and what convicts nobody."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.equivocation import NO_PROOF, PROOF_BYTES, Equivocation, read
from consensus.notary import Notary
from consensus.private_messages import BodyError, Stage
from consensus.recall import Recall
from consensus.vault import Vault
from tests.consensus.private_cell import SIX, keys, quick_sign, quick_verify, terms_of

TERMS = terms_of(SIX, keep_rounds=2)
LATER = replace(TERMS, number=TERMS.number + 5)
LIAR = 2


def notary(terms=TERMS, author=LIAR, context=None):
    sign = quick_sign(keys(6)[author][0])
    return Notary(terms.cell, author, terms.number, context or terms.context, sign, quick_verify)


def proof(stage=Stage.SCALARS, by=None):
    by = by or notary()
    return Equivocation.of((by.item(stage, b"one"), by.item(stage, b"other")), TERMS)


def test_it_holds_for_all_members_in_that_round_and_later():
    found = proof()
    packed = found.pack()
    assert len(packed) == PROOF_BYTES
    for terms in (TERMS, LATER):
        assert read(packed, terms, quick_verify) == found


def test_it_does_not_hold_before_its_round_in_another_swarm_or_in_another_cell():
    packed = proof().pack()
    others = [
        replace(TERMS, number=TERMS.number - 1),
        replace(TERMS, swarm=b"o" * 32),
        replace(TERMS, layout=b"l" * 32),
    ]
    assert [read(packed, terms, quick_verify) for terms in others] == [None] * 3


def test_what_is_signed_about_something_else_convicts_nobody():
    """An honest member signs more than one item of a name in other contexts: in the opening, in other rounds."""
    elsewhere = notary(context=b"c" * 32)
    assert not proof(by=elsewhere).holds(LATER, quick_verify)
    one, other = notary().item(Stage.SCALARS, b"one"), notary(LATER).item(Stage.SCALARS, b"other")
    assert not Equivocation.of((one, other), TERMS).holds(LATER, quick_verify)
    assert proof(Stage.CERTIFY) is None
    assert Equivocation.of((one, notary().item(Stage.PROVE, b"other")), TERMS) is None
    assert Equivocation.of((one, notary(author=3).item(Stage.SCALARS, b"other")), TERMS) is None
    assert Equivocation.of((one,), TERMS) is None
    assert not Equivocation.of((one, one), TERMS).holds(TERMS, quick_verify)


@pytest.mark.parametrize("other", [{"author": 3}, {"author": 99}, {"stage": 5000 % 256}, {"stage": 7}, {"number": 2}])
def test_what_names_somebody_or_something_else_does_not_hold(other):
    assert not replace(proof(), **other).holds(LATER, quick_verify)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, PROOF_BYTES - 1), st.integers(1, 255))
def test_a_proof_with_any_byte_changed_proves_nothing(place, change):
    packed = bytearray(proof().pack())
    packed[place] ^= change
    assert read(bytes(packed), LATER, quick_verify) is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=PROOF_BYTES + 3))
def test_bytes_that_are_no_proof_are_none(body):
    assert read(body, TERMS, quick_verify) is None
    with pytest.raises(BodyError):
        Equivocation.unpack(body + bytes(PROOF_BYTES + 4))


def test_no_proof_is_none():
    assert read(NO_PROOF, TERMS, quick_verify) is None


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 5))
def test_words_of_any_bytes_are_shares_or_refused_with_a_reason(body, author):
    recall = Recall(TERMS, 0, Vault(2), quick_verify)
    recall.about = LIAR
    item = replace(notary(author=author).item(Stage.RECALL, b""), body=body)
    wrong = recall.check(author, item, range(6))
    if author == LIAR:
        assert wrong
    elif wrong is None:
        recall.take({author: item})
        opened = recall.open(bytes(32))
        assert opened.refused
