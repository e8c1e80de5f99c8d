"""Certificates that name the parts of their sum: whom a dissent convicts."""

import hashlib

import pytest

from consensus.certificate import Certificate, certificate_bytes
from consensus.conviction import Certainty
from consensus.notary import Notary
from consensus.private_messages import PortionKind, Stage
from tests.consensus.private_cell import keys, quick_sign, quick_verify

M = 4
ROSTER = tuple(one.peer_id for one, _ in keys(M))
NOTARIES = [Notary(ROSTER, i, 3, b"c" * 32, quick_sign(one), quick_verify) for i, (one, _) in enumerate(keys(M))]
KIND = PortionKind.SHARE


def said(text):
    return hashlib.sha256(text.encode()).digest()


def part(author, text):
    """The digest of what an author said, and its signature."""
    statement = NOTARIES[author].portion_statement(author, KIND, said(text))
    return said(text), NOTARIES[author].sign(statement)


def parts_of(texts):
    return {author: part(author, text) for author, text in enumerate(texts) if text}


def sum_of(texts):
    return said("+".join(texts))


class Table:
    """Member 0 has the parts "abcd", and hears what the others sign."""

    def __init__(self):
        self.named = {}
        self.certificate = Certificate(NOTARIES[0], self.name)
        self.certificate.sign(sum_of("abcd"), parts_of("abcd"))

    def name(self, who, why, proof, certainty=None):
        self.named[who] = max(certainty or Certainty.SUSPECTED, self.named.get(who, Certainty.SUSPECTED))

    def hear(self, author, digest, parts):
        item = Certificate(NOTARIES[author], self.name).sign(digest, parts)
        assert len(item.body) == certificate_bytes(M)
        self.certificate.hear(author, item)
        return self.weigh("abcd")

    def weigh(self, texts):
        known = {author: said(text) for author, text in enumerate(texts) if text}
        self.certificate.weigh(KIND, known, lambda authors: sum_of([texts[author] for author in sorted(authors)]))
        return self.named


@pytest.mark.parametrize("texts", ["abcd", "abc"])
def test_another_sum_than_its_own_parts_make_convicts(texts):
    assert Table().hear(1, said("another"), parts_of(texts)) == {1: Certainty.WITNESSED}


def test_the_right_sum_of_fewer_parts_convicts_nobody():
    assert Table().hear(1, sum_of("abc"), parts_of("abc")) == {}


def test_who_was_told_another_part_shows_who_told_it():
    assert Table().hear(1, sum_of("abXd"), parts_of("abXd")) == {2: Certainty.WITNESSED}


def test_who_lists_another_part_of_its_own_than_it_sent_has_signed_two():
    assert Table().hear(1, sum_of("aXcd"), parts_of("aXcd")) == {1: Certainty.WITNESSED}


def test_a_part_that_its_author_did_not_sign_clears_nobody():
    forged = parts_of("abcd") | {2: (said("X"), part(1, "X")[1])}
    assert Table().hear(1, sum_of("abXd"), forged) == {1: Certainty.WITNESSED}


def test_of_parts_that_did_not_come_here_nobody_can_tell_until_they_do():
    table = Table()
    table.certificate.hear(1, Certificate(NOTARIES[1], table.name).sign(said("another"), parts_of("abcd")))
    assert table.weigh(["a", "b", "", "d"]) == {}
    assert table.weigh("abcd") == {1: Certainty.WITNESSED}


def test_what_cannot_be_read_convicts_its_author():
    table = Table()
    table.certificate.hear(1, NOTARIES[1].item(Stage.CERTIFY, said("another")))
    assert table.named.keys() == {1}
    assert table.certificate.heard == {0}


def test_the_same_sum_of_other_parts_agrees():
    table = Table()
    assert table.hear(1, sum_of("abcd"), parts_of("abc")) == {}
    assert table.certificate.agreeing.keys() == {0, 1}
