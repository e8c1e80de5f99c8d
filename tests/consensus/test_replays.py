"""Words of one round said again in the next, by a liar that changes their number: masked and encrypted rounds refuse
them, name nobody else, and open the exact sum of whoever is left.
"""

from dataclasses import replace

import pytest

from consensus.encrypted_messages import Ciphertext, Opened, RoundKey, Total
from consensus.masked_messages import Dealt, Decided, Hello, Masked, Report, Revealed, Summed
from tests.consensus import test_encrypted_round as encrypted
from tests.consensus import test_masked_round as masked


def replaying(before, liar, kind):
    """Instead of its own words of a kind a liar says what somebody said to the same receiver in the round before."""
    said = [(sender, receiver, message) for sender, receiver, message in before.sent if isinstance(message, kind)]

    def tamper(sender, receiver, message):
        if sender != liar or not isinstance(message, kind):
            return message
        old = [m for author, to, m in said if to == receiver and author == liar] or [m for *_, m in said]
        return replace(old[0], round=message.round) if old else message

    return tamper


@pytest.mark.parametrize("kind", [Hello, Dealt, Report, Decided, Masked, Revealed, Summed])
@pytest.mark.parametrize("liar", [0, 2])
def test_a_masked_round_takes_nothing_of_the_one_before(kind, liar):
    before, _ = masked.run(6, 0)
    cell, terms = masked.run(6, 6, tamper=replaying(before, liar, kind))  # the same coordinator's turn
    masked.check(cell, terms)
    assert {fault.culprit for _, fault in cell.faults} <= {terms.cell[liar]}
    for index, outcome in cell.outcomes.items():
        assert {culprit.peer for culprit in outcome.culprits} <= {terms.cell[liar]}
        may_void = terms.cell[liar] == terms.coordinator or kind in (Revealed, Masked)
        assert index == liar or outcome.mean is not None or may_void


@pytest.mark.parametrize("kind", [RoundKey, Ciphertext, Total, Opened])
def test_an_encrypted_round_takes_nothing_of_the_one_before(kind):
    before, old, _ = encrypted.run(5, 0)
    roles = {RoundKey: old.keeper, Opened: old.keeper, Total: old.relay}
    liar = old.cell.index(roles.get(kind, next(p for p in old.cell if p not in (old.keeper, old.relay))))
    number = next(n for n in range(1, 100) if encrypted.terms_of(encrypted.identities(5), n).keeper == old.keeper
                  and encrypted.terms_of(encrypted.identities(5), n).relay == old.relay)  # fmt: skip
    cell, terms, rows = encrypted.run(5, number, tamper=replaying(before, liar, kind))
    encrypted.check(cell, terms, rows)
    assert {fault.culprit for _, fault in cell.faults} == {terms.cell[liar]}
    for index, outcome in cell.outcomes.items():
        if index != liar:
            assert {culprit.peer for culprit in outcome.culprits} <= {terms.cell[liar]}
            assert outcome.mean is None or kind in (Ciphertext, Opened, Total)
