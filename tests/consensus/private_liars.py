"""Liars of a private round, one a function: each gives the `tamper` of a member, or changes how it is built."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from consensus.notary import Notary
from consensus.private_dealer import PrivateDealer
from consensus.private_holder import pack_scalars, unpack_scalars
from consensus.private_messages import Item, Portion, PortionKind, Sealed, Stage, Vote
from consensus.private_round import PrivateRound
from crypto.field import PRIME, from_signed
from crypto.norm_proof import share_bits
from crypto.randomness import Stream
from crypto.shamir import SHARE_BLOCK, stripes
from tests.crypto.cell import modular_rows


def silent_from(stage):
    """Sends nothing of this stage or a later one (8 and 9: parts of the sum, certificate)."""

    def tamper(message, receiver):
        at = 7 if isinstance(message, Portion) else message.stage
        return None if at >= stage else message

    return tamper


def _signed(member, stage, body):
    return member.round._notary.item(stage, body)


def equivocating(member, stage):
    """Signs another item for every second receiver."""
    changed = {}

    def tamper(message, receiver):
        if isinstance(message, Item) and message.stage == stage and message.author == member.index and receiver % 2:
            body = bytearray(message.body)
            body[1] ^= 1
            if stage in (Stage.NONCE_1, Stage.NONCE_2):
                return message
            return changed.setdefault(stage, _signed(member, stage, bytes(body)))
        return message

    return tamper


def selective(member, stage, few=2):
    """Sends its item to a few alone."""

    def tamper(message, receiver):
        mine = isinstance(message, Item) and message.stage == stage and message.author == member.index
        return None if mine and receiver > few else message

    return tamper


def wrong_nonce(member, stage):
    def tamper(message, receiver):
        if isinstance(message, Item) and message.stage == stage and message.author == member.index:
            return _signed(member, stage, bytes(32) + bytes(message.body[32:]))
        return message

    return tamper


def lying_scalars(member, about, *, by=1):
    """Publishes scalars that are off, about these dealers."""
    terms = member.round._terms

    def tamper(message, receiver):
        if not (isinstance(message, Item) and message.stage == Stage.SCALARS and message.author == member.index):
            return message
        scalars = unpack_scalars(terms, message.body)
        for dealer in about:
            if dealer in scalars:
                value = (scalars[dealer].degree.astype(np.uint64) + by) % PRIME
                scalars[dealer] = replace(scalars[dealer], degree=value.astype(np.uint32))
        return _signed(member, Stage.SCALARS, pack_scalars(terms, scalars))

    return own_items_too(member, Stage.SCALARS, tamper)


def own_items_too(member, stage, tamper):
    """Changes what the liar itself believes that it said, so that it votes for the lie."""
    agreement = member.round._agreements[stage]
    enter = agreement.enter

    def lied(now, item, **others):
        enter(now, None if item is None else tamper(item, None), **others)

    agreement.enter = lied
    return lambda message, receiver: message


def complaining(member, about, status=1):
    """Says that it lacks boxes, or that they are rubbish."""

    def tamper(message, receiver):
        body = bytearray(message.body)
        for dealer in about:
            body[32 + dealer] = status
        return _signed(member, Stage.NONCE_2, bytes(body))

    return own_items_too(member, Stage.NONCE_2, tamper)


def without_boxes(member, to, stage=Stage.COMMIT):
    """Sends some holders no box, and does not supply it when asked either way."""

    def tamper(message, receiver):
        return None if isinstance(message, Sealed) and message.stage == stage and receiver in to else message

    return tamper


def wrong_share_of_the_sum(member, owners=None):
    """A holder that lies in the opening."""

    def tamper(message, receiver):
        if isinstance(message, Portion) and message.kind == PortionKind.SHARE:
            if owners is not None and message.owner not in owners:
                return message
            words = np.frombuffer(message.body, "<u4").copy()
            words[0] = (int(words[0]) + 1) % PRIME
            notary = member.round._opening._notary
            return notary.portion(message.owner, PortionKind.SHARE, words.tobytes())
        return message

    return tamper


def wrong_part(member, *, some=lambda receiver: True):
    """An owner that broadcasts another sum, to some."""

    def tamper(message, receiver):
        if isinstance(message, Portion) and message.kind == PortionKind.CHUNK and some(receiver):
            words = np.frombuffer(message.body, "<u4").copy()
            words[-1] = (int(words[-1]) + 1) % PRIME
            return member.round._opening._notary.portion(message.owner, PortionKind.CHUNK, words.tobytes())
        return message

    return tamper


def wrong_checks(member):
    """Lies about combinations of its share of the sum."""

    def tamper(message, receiver):
        if isinstance(message, Item) and message.stage == Stage.CHECK and message.author == member.index:
            body = bytearray(message.body)
            body[96] ^= 1
            return member.round._opening._notary.item(Stage.CHECK, bytes(body))
        return message

    return tamper


def wrong_certificate(member):
    def tamper(message, receiver):
        if isinstance(message, Item) and message.stage == Stage.CERTIFY and message.author == member.index:
            return member.round._opening._notary.item(Stage.CERTIFY, bytes(32))
        return message

    return tamper


def two_openings(member):
    """Signs a part of the sum over another accepted set."""

    def tamper(message, receiver):
        if isinstance(message, Portion) and message.kind == PortionKind.SHARE:
            mine = member.round._opening._notary
            other = Notary(mine.roster, mine.me, mine.number, bytes(32), mine.sign, mine.verify)
            return [other.portion(message.owner, message.kind, message.body), message]
        return message

    return tamper


def voting_twice(member):
    """Votes for something else too."""

    def tamper(message, receiver):
        if isinstance(message, Vote):
            other = member.round._notary.vote(message.stage, message.view, message.step, b"x" * 32)
            return [message, other] if receiver % 2 else [other, message]
        return message

    return tamper


# --- lying dealers: how a round is built ---------------------------------------------------------------------------


class _Forger(PrivateDealer):
    """Deals field elements of its choice, and bits for the rows as they should have been."""

    values: np.ndarray
    spell_nonbits = False

    def prove(self, sketch):
        terms = self._terms
        secrets = stripes(self.values, terms.packing.packed)
        rows = modular_rows(sketch, secrets)
        parameters = terms.proof
        clipped = np.clip(rows, -parameters.bound, parameters.bound - 1)
        square = sum(int(y >> parameters.shift) ** 2 for y in clipped)
        bits = (clipped + parameters.bound)[:, None] >> np.arange(parameters.bits) & 1
        if self.spell_nonbits:
            bits = bits.astype(np.int64)
            bits[:, 0] += rows - clipped
        slack = (parameters.tau - square) >> np.arange(parameters.slack_bits) & 1
        stream = Stream(hashlib.sha256(b"forger").digest(), "bits")
        return self.seal_bits(share_bits(parameters, (bits % PRIME).astype(np.uint32), slack.astype(np.uint32), stream))

    def _secrets(self, block):
        return stripes(self.values, self._terms.packing.packed)[:, block * SHARE_BLOCK : (block + 1) * SHARE_BLOCK]


def forger(values, *, nonbits=False):
    """A round whose dealer deals `values` (d,) uint32."""

    def build(arguments):
        class Forger(_Forger):
            pass

        Forger.values, Forger.spell_nonbits = values, nonbits
        return _with_dealer(arguments, Forger)

    return build


def inconsistent(holders):
    """Deals shares off the codeword to some."""

    def build(arguments):
        class Inconsistent(PrivateDealer):
            def _rows(self, block):
                rows = super()._rows(block)
                for holder in holders:
                    rows[holder][-1] = (int(rows[holder][-1]) + 1) % PRIME
                return rows

        return _with_dealer(arguments, Inconsistent)

    return build


def rubbish(holders):
    """Seals words that are no field elements; to who is sent a seed, what does not open."""

    def build(arguments):
        class Rubbish(PrivateDealer):
            def _seal(self, holder, block, row):
                if holder not in holders:
                    return super()._seal(holder, block, row)
                sealed = super()._seal(holder, block, np.full_like(row, 2**32 - 1))
                return sealed[:-1] + bytes([sealed[-1] ^ 1]) if self._plans[holder].seeded else sealed

        return _with_dealer(arguments, Rubbish)

    return build


def _with_dealer(arguments, kind):
    class Lying(PrivateRound):
        deals = kind

    return Lying(**arguments)


def wrapping(size):
    values = from_signed(np.zeros(size, np.int32))
    values[7] = (PRIME - 1) // 2
    return values


def tripled(size, norm):
    rng = np.random.default_rng(5)
    vector = rng.standard_normal(size)
    return from_signed(np.round(vector * 3 * norm / np.linalg.norm(vector)).astype(np.int32))
