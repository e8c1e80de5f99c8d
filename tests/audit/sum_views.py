"""What colluders hold after a masked or an encrypted round of real state machines, and what they can make of it.

Everything comes from messages that a colluder was sent and from the colluders' own secrets.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from consensus.encrypted_messages import Ciphertext
from consensus.encrypted_round import EncryptedRound
from consensus.encrypted_terms import EncryptedTerms
from consensus.masked_messages import Decided, Masked, Revealed, Stage
from consensus.masked_round import MaskedRound
from consensus.masked_terms import MaskedTerms
from consensus.messages import Vector
from consensus.private_outcome import PrivateOutcome
from consensus.signer import Signer
from crypto.ckks import Ckks
from crypto.homomorphic import KeyPair
from crypto.identity import Identity, PeerId
from crypto.masks import SHARE_BYTES, agree, mask, recover_masks, recover_seed, split
from tests.consensus.secret_cell import Cell, identities, verifying

Words = npt.NDArray[np.uint32]


def _signer(one: Identity) -> Signer:
    return Signer(one.sign, verifying, random.Random(one.peer_id).randbytes)


@dataclass
class SumView:
    """Of a masked or encrypted round."""

    colluders: tuple[int, ...]
    heard: list[tuple[int, int, object]]
    """(sender, receiver, message) of all that colluders were sent."""
    machines: Mapping[int, MaskedRound | EncryptedRound]
    """The colluders' own."""
    outcome: PrivateOutcome

    def others(self, vectors: Sequence[Vector], cell: tuple[PeerId, ...]) -> npt.NDArray[np.float64]:
        """The sum (d,) of the accepted without the colluders', of equal weights."""
        assert self.outcome.mean is not None, self.outcome.void
        accepted = [cell.index(peer) for peer in self.outcome.accepted]
        own = sum(vectors[member].astype(np.float64) for member in accepted if member in self.colluders)
        total: npt.NDArray[np.float64] = self.outcome.mean.astype(np.float64) * len(accepted) - own
        return total


def masked(
    terms: MaskedTerms, vectors: Sequence[Vector], colluders: Collection[int], *, dies: int | None = None
) -> SumView:
    """A masked round. Member `dies` falls silent once it has sent its masked words."""
    people = identities(len(vectors))

    def make(one: Identity) -> MaskedRound:
        return MaskedRound(one.peer_id, terms, vectors[terms.cell.index(one.peer_id)], _signer(one))

    def tamper(sender: int, receiver: int, message: object) -> object:
        # Its words reach the colluders alone: the others cannot count it.
        if sender == dies and isinstance(message, Masked) and receiver not in colluders:
            return None
        return message if sender != dies or isinstance(message, Masked) or "Decided" not in seen else None

    seen: set[str] = set()

    def noting(sender: int, receiver: int, message: object) -> object:
        if isinstance(message, Decided) and message.stage == Stage.DEALT:
            seen.add("Decided")
        return tamper(sender, receiver, message)

    return _view(Cell(people, make, tamper=noting), colluders)


def encrypted(
    terms: EncryptedTerms, vectors: Sequence[Vector], colluders: Collection[int]
) -> tuple[SumView, KeyPair | None]:
    """An encrypted round, and the keeper's key pair if the keeper is a colluder."""
    pairs: list[KeyPair] = []

    def make(one: Identity) -> EncryptedRound:
        machine = EncryptedRound(one.peer_id, terms, vectors[terms.cell.index(one.peer_id)], _signer(one))
        announce = machine._announce

        def noted(result: object) -> list:
            pairs.append(cast(KeyPair, result))
            return announce(result)

        if terms.cell.index(one.peer_id) in colluders:
            machine._announce = noted
        return machine

    view = _view(Cell(identities(len(vectors)), make), colluders)
    return view, pairs[0] if pairs else None


def _view(cell: Cell, colluders: Collection[int]) -> SumView:
    cell.run()
    heard = [(sender, receiver, message) for sender, receiver, message in cell.sent if receiver in colluders]
    machines = {member: cell.machines[member] for member in colluders}
    return SumView(tuple(sorted(colluders)), heard, machines, cell.outcomes[min(colluders)])


def stripped(view: SumView, terms: MaskedTerms, victim: int) -> dict[int, Words]:
    """The victim's fragments that colluders were sent, less every mask that they can compute.

    Those are the masks of pairs of victim and colluder, and the victim's own mask or, where it was not counted, the
    masks of all its pairs, as far as the shares that were revealed and their own recover them.
    """
    secrets = {member: view.machines[member]._secrets for member in view.colluders}
    publics = next(iter(secrets.values())).publics
    me, cell = terms.cell[victim], terms.cell
    known: list[tuple[int, bytes]] = []  # +1 where the victim added the mask
    for member, secret in secrets.items():
        seed = agree(secret._keys.masks, split(publics[me])[1], "mask", terms.context)
        known.append((1 if cell[member] > me else -1, seed))
    _, point, promised = split(publics[me])
    shares = _revealed(view, terms, victim)
    if len(shares) >= terms.threshold:
        if me in view.outcome.accepted:
            known.append((1, recover_seed(shares, terms.threshold, promised)))
        else:
            key = recover_masks(shares, terms.threshold, point)
            for other in set(publics) - {me, *(cell[member] for member in view.colluders)}:
                known.append((1 if other > me else -1, agree(key, split(publics[other])[1], "mask", terms.context)))
    found = {}
    for sender, _, message in view.heard:
        if isinstance(message, Masked) and sender == victim:
            words = np.frombuffer(message.body, "<u4").astype(np.uint32)
            for sign, seed in known:
                pad = mask(seed, message.fragment, words.size)
                words = words - pad if sign > 0 else words + pad
            found[message.fragment] = words
    return found


def _revealed(view: SumView, terms: MaskedTerms, victim: int) -> dict[int, bytes]:
    """Shares of the victim's secret, by place of who revealed it."""
    found = {}
    for sender, _, message in view.heard:
        if isinstance(message, Revealed):
            roster = view.machines[view.colluders[0]]._roster
            place = roster.index(terms.cell[victim])
            found[sender] = bytes(message.body[SHARE_BYTES * place : SHARE_BYTES * (place + 1)])
    return found


def ciphertexts(view: SumView) -> dict[int, bytes]:
    """Encrypted vectors that colluders were sent, by sender."""
    return {sender: bytes(message.body) for sender, _, message in view.heard if isinstance(message, Ciphertext)}


def decrypted(body: bytes, secret: bytes, size: int, weight: float) -> npt.NDArray[np.float64]:
    """A vector (d,) under some key: the right one, or one that an attacker makes for lack of it."""
    return Ckks().decrypt(secret, body, size).astype(np.float64) / weight
