"""The opening: holders add up their shares over the accepted set, owners decode a part each, everyone checks each part.

The columns of the sum are cut into one run an owner. A holder sends run o of its share of the sum to owner o, signed;
the owner decodes it and sends it to all, signed. Then each member signs, for every run it was sent, that run's digest
and four random combinations of the same columns of its own share. The coefficients (coin 3) are drawn from the digest
of the run, after Fiat and Shamir. The combinations of the holders are decoded and compared with those of the run. Who
misses a run, or has one that fails, fetches the holders' shares of it and decodes for itself.

A member opens once a round: its statements are about the decision that fixed the accepted set, which is unique.

**Can an owner grind coin 3?** It may try as many wrong runs as it can hash, and send the one that passes. The right
run is fixed by then: boxes were committed to before coins 1 and 2, the accepted set is decided. A wrong run differs
from it in some slot by a vector that is not 0, and passes if four uniform combinations of that are 0: with probability
p⁻⁴ < 2⁻¹²³ a try (SHA-256 taken for a random oracle, AES for a random function). After 2⁶⁴ tries that is 2⁻⁵⁹. The
decision is part of the digest, so tries of one round are of no use in another; and a holder that knows the coin when
it answers is one of the e whose answers are corrected whatever they are. Two combinations, p⁻² a try, could be ground;
a coin that all toss together would cost two more waves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

import numpy as np

from consensus.certificate import Certificate
from consensus.conviction import Certainty, Name, located
from consensus.notary import Notary
from consensus.private_messages import (
    BodyError,
    Fetch,
    Item,
    Portion,
    PortionKind,
    PrivateMessage,
    Stage,
)
from consensus.private_runs import CHECK_BYTES, COMBINATIONS, OTHER_SUM, RunCheck, Runs, other_sum
from consensus.private_terms import PrivateTerms
from crypto.decoding import decode, open_shares
from crypto.field import Signed, Vector, inner, to_signed
from crypto.randomness import SEED_BYTES, Stream

_WORD = np.dtype("<u4")
_WAVES = 5
"""Deadlines until an opening is given up: shares, parts, checks, what failed, the certificate."""

_WRONG_SHARE = "signed a wrong share of the sum"

Outgoing = tuple[int | None, PrivateMessage]


class Opening:
    """Opens one sum. `notary` speaks in the context of the decision on the accepted set."""

    def __init__(
        self,
        terms: PrivateTerms,
        notary: Notary,
        holders: Collection[int],
        mine: Vector | None,
        randbytes: Callable[[int], bytes],
        name: Name,
        now: float,
    ) -> None:
        """`mine` is our share of the sum (G,), None if we lack a dealer's."""
        self._terms = terms
        self._notary = notary
        self._holders = tuple(sorted(holders))
        self._mine = mine if notary.me in self._holders else None
        self._randbytes = randbytes
        self._name = name
        self._began = now
        self._layout = Runs(terms, self._holders, notary.context)
        self._runs = self._layout.slices
        self._shares: dict[int, dict[int, Vector]] = {o: {} for o in self._runs}
        self._tried: dict[int, int] = {}
        self._portions: dict[tuple[int, int], Portion] = {}
        self._evidence: dict[tuple[int, int], Vector] = {}
        self._weighed: set[tuple[int, int]] = set()
        self._signed_parts: dict[int, dict[bytes, set[bytes]]] = {o: {} for o in self._runs}
        self._chunks: dict[int, tuple[bytes, Vector, bytes]] = {}
        self._sure: dict[int, Vector] = {}
        self._sent: dict[int, Portion] = {}
        self._checks: dict[int, dict[int, RunCheck]] = {}
        self._check_items: dict[int, Item] = {}
        self._signed = Certificate(notary, name)
        self._check: Item | None = None
        self._fetched: set[int] = set()
        self._verified: set[int] = set()
        self._combinations: dict[bytes, Vector] = {}
        self.total: Signed | None = None
        """The sum (d,), in lattice units."""
        self._out: list[Outgoing] = []
        self._start()

    # --- sending --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._mine is None:
            return
        for owner in self._runs:
            if owner == self._notary.me:
                self._shares[owner][owner] = self._mine[self._runs[owner]]
            else:
                self._out.append((owner, self._share_of(owner)))

    def _share_of(self, owner: int) -> Portion:
        if owner not in self._sent:
            if self._mine is None:
                raise ValueError("no share to send")
            body = self._mine[self._runs[owner]].astype(_WORD, copy=False).view(np.uint8).data
            self._sent[owner] = self._notary.portion(owner, PortionKind.SHARE, body)
        return self._sent[owner]

    def answer(self, peer: int, part: int, stage: int) -> list[Outgoing]:
        """What a member that fetches from the opening is sent."""
        out: list[Outgoing] = [(peer, item) for item in (self._check, self._signed.mine) if item is not None]
        if stage == Stage.CHECK and part in self._runs and self._mine is not None:
            out.append((peer, self._share_of(part)))
        return out

    # --- hearing --------------------------------------------------------------------------------------------------

    def hear_portion(self, peer: int, portion: Portion) -> None:
        """Take a part of the sum, or evidence of a wrong share of it."""
        owner, author, share = portion.owner, portion.author, portion.kind == PortionKind.SHARE
        if owner not in self._runs or self._known(owner, author, share, direct=author == peer):
            return
        if author not in self._holders or not (share or author == peer == owner):
            self._name(peer, "sends a part of the sum that is not its to send", ())
            return
        said = hashlib.sha256(portion.body).digest()
        if not self._notary.signed_portion(portion, said):
            self._name(peer, OTHER_SUM, (), other_sum(self._terms))
            return
        words = self._layout.words(portion.body, owner, 1 if share else self._terms.packing.packed)
        if words is None:
            self._name(author, "signed a part of the sum of the wrong length or form", (), Certainty.WITNESSED)
        elif not share:
            self._signed_parts[owner].setdefault(said, set()).add(portion.signature)
            self._chunks[owner] = said, words.reshape(self._terms.packing.packed, -1), portion.signature
        elif author == peer:
            self._shares[owner][author] = words
            self._portions[owner, author] = portion
        else:
            self._evidence[owner, author] = words

    def _known(self, owner: int, author: int, share: bool, *, direct: bool) -> bool:
        """Whether such a part would tell nothing new."""
        if not share:
            return owner in self._chunks or owner in self._sure or owner == self._notary.me
        if direct:
            return author in self._shares[owner] or owner in self._sure
        return author == self._notary.me or (owner, author) in self._evidence

    def hear_item(self, peer: int, item: Item) -> None:
        """Take the checks, or the certificate, of a member."""
        if item.stage == Stage.CERTIFY:
            self._out += [(None, one) for one in self._signed.hear(peer, item)]
            return
        known = self._check_items.get(item.author)
        if known is not None and known.body == item.body:
            return
        if not self._notary.wrote(item):
            self._name(peer, "passes on an item of the opening that its author did not sign", ())
        elif known is not None:
            self._name(item.author, f"signed two different items of stage {Stage.CHECK.name}", (known, item))
            self._out += [] if item.author == peer else [(None, known), (None, item)]
        else:
            try:
                self._take_checks(item.author, self._layout.unpack_checks(item.body))
            except BodyError as error:
                self._name(item.author, f"signed checks that cannot be read: {error}", (item,))
            self._check_items[item.author] = item

    def _take_checks(self, author: int, checks: dict[int, RunCheck]) -> None:
        self._checks[author] = checks
        for owner, check in checks.items():
            self._signed_parts[owner].setdefault(check.said, set()).add(check.signature)

    # --- acting ---------------------------------------------------------------------------------------------------

    def advance(self, now: float, away: Collection[int]) -> list[Outgoing]:
        """Do what can be done now."""
        waves = self._waves(now)
        self._decode_shares(waves, away)
        self._send_checks(waves, away)
        self._verify_chunks(waves, away)
        for owner, signed in self._signed_parts.items():
            self._compare(owner, signed)
        for owner, author in self._evidence.keys() - self._weighed:
            self._weigh(owner, author)
        self._fetch_missing(waves)
        self._finish()
        self._signed.accuse(self._terms.quorum.size)
        if self._signed.dissent:
            said = {owner: said for owner, (said, _, _) in self._chunks.items()}
            self._signed.weigh(PortionKind.CHUNK, said, self._made)
        out, self._out = self._out, []
        return out

    def closed(self, now: float, away: Collection[int]) -> bool:
        """Whether nothing more is to be waited for."""
        if self._waves(now) >= _WAVES:
            return True
        enough = len(self._signed.heard) >= len(self._holders)
        return self.total is not None and enough and not self.missing(away)

    def wake_at(self, now: float) -> float:
        """When to call `advance` if nothing happens."""
        return self._began + min(self._waves(now) + 1, _WAVES) * self._terms.deadline_s

    def _waves(self, now: float) -> int:
        """How many deadlines have passed."""
        return sum(now >= self._began + wave * self._terms.deadline_s for wave in range(1, _WAVES + 1))

    @property
    def certificate(self) -> dict[int, Item]:
        """Signatures under the sum that we have."""
        return self._signed.agreeing

    def missing(self, away: Collection[int]) -> set[int]:
        """Holders that have not said all that they have to."""
        return set(self._holders) - set(away) - self._signed.heard

    def _decode_shares(self, waves: int, away: Collection[int]) -> None:
        for owner, shares in self._shares.items():
            if owner in self._sure or len(shares) == self._tried.get(owner, 0):
                continue
            everyone = shares.keys() >= set(self._holders) - set(away)
            if owner == self._notary.me:
                ready = everyone or waves >= 1
            else:
                ready = owner in self._fetched and len(shares) > self._terms.packing.degree + self._terms.packing.liars
            if ready and self._decode(owner, shares) and owner == self._notary.me:
                body = self._sure[owner].reshape(-1).astype(_WORD, copy=False).view(np.uint8).data
                portion = self._notary.portion(owner, PortionKind.CHUNK, body)
                self._out.append((None, portion))
                self._chunks[owner] = hashlib.sha256(body).digest(), self._sure[owner], portion.signature

    def _decode(self, owner: int, shares: Mapping[int, Vector]) -> bool:
        self._tried[owner] = len(shares)
        opened = open_shares(self._terms.packing, shares, Stream(self._randbytes(SEED_BYTES), "opening"))
        if opened is None:
            return False
        for liar in opened.liars:
            self._name(liar, _WRONG_SHARE, (), self._located(len(shares), len(opened.liars)))
            if (owner, liar) in self._portions:
                self._out.append((None, self._portions[owner, liar]))
        self._sure[owner] = opened.secrets
        return True

    def _send_checks(self, waves: int, away: Collection[int]) -> None:
        if self._check is not None or self._mine is None:
            return
        if waves < 2 and not self._chunks.keys() >= self._runs.keys() - set(away):
            return
        parts: list[bytes] = []
        for owner in self._runs:
            if owner not in self._chunks:
                parts.append(bytes(CHECK_BYTES))
                continue
            said, _, signature = self._chunks[owner]
            combined, _ = self._combined(owner)
            parts += [said, signature, b"" if combined is None else combined.astype(_WORD, copy=False).tobytes()]
        self._check = self._notary.item(Stage.CHECK, b"".join(parts))
        self._out.append((None, self._check))
        self.hear_item(self._notary.me, self._check)

    def _verify_chunks(self, waves: int, away: Collection[int]) -> None:
        if waves < 3 and not self._checks.keys() >= set(self._holders) - set(away):
            return
        for owner in self._chunks.keys() - self._verified:
            self._verified.add(owner)
            self._verify(owner)

    def _verify(self, owner: int) -> None:
        """Compare a run with the holders' combinations of it; our own too, for what that says about holders."""
        chunk, packing = self._chunks[owner][1], self._terms.packing
        _, expected = self._combined(owner)
        for place in range(COMBINATIONS):
            decoded = decode(self._word(owner, place), packing.degree, packing.liars, packing.secret_points)
            if decoded is None:
                self._fetched_add(owner)
                return
            certainty = self._located(len(self._word(owner, place)), len(decoded.liars))
            for liar in decoded.liars:
                self._name(liar, f"signed wrong combinations of its share of the sum for {owner}", (), certainty)
            if decoded.values != tuple(expected[place].tolist()):
                # Where members are absent, liars may have made an honest owner decode it.
                self._name(owner, "signed a wrong part of the sum", ())
                self._fetched_add(owner)
                return
        self._sure.setdefault(owner, chunk)

    def _compare(self, owner: int, signed: dict[bytes, set[bytes]]) -> None:
        """Name an owner that signed two different parts, as we see from what others were sent.

        What the others hand on may be no signature of the owner's: one that is false does not hide one that is true.
        """
        if len(signed) < 2:
            return
        peer = self._notary.roster[owner]
        for said, signatures in list(signed.items()):
            statement = self._notary.portion_statement(owner, PortionKind.CHUNK, said)
            true = {one for one in signatures if self._notary.verify(peer, statement, one)}
            if true:
                signed[said] = true
            else:
                del signed[said]
        if len(signed) > 1:
            self._name(owner, "signed two different parts of the sum", (), Certainty.WITNESSED)

    def _word(self, owner: int, place: int) -> dict[int, int]:
        """One combination of a run, by holder, of those that hold the run that we hold."""
        said = self._chunks[owner][0]
        return {
            holder: int(checks[owner].combinations[place])
            for holder, checks in self._checks.items()
            if owner in checks and checks[owner].said == said and holder in self._holders
        }

    def _weigh(self, owner: int, author: int) -> None:
        """Whether a share that somebody passed on is the one that all other holders' combinations ask for."""
        if owner not in self._verified or owner not in self._chunks:
            return
        self._weighed.add((owner, author))
        packing = self._terms.packing
        words = self._evidence[owner, author][None]
        for place, found in enumerate(inner(self._layout.weights(owner, self._chunks[owner][0]), words)[:, 0].tolist()):
            word = self._word(owner, place)
            decoded = decode(word, packing.degree, packing.liars, (packing.points[author],))
            if decoded is not None and decoded.values != (found,):
                self._name(author, _WRONG_SHARE, (), self._located(len(word), len(decoded.liars)))

    def _fetch_missing(self, waves: int) -> None:
        if waves < 3 and self._check is None:
            return
        if waves >= 2:
            for owner in self._runs.keys() - self._chunks.keys() - self._sure.keys():
                self._fetched_add(owner)

    def _fetched_add(self, owner: int) -> None:
        if owner in self._fetched or owner in self._sure:
            return
        self._chunks.pop(owner, None)
        self._fetched.add(owner)
        if self._mine is not None:
            self._shares[owner][self._notary.me] = self._mine[self._runs[owner]]
        for holder in self._holders:
            if holder != self._notary.me:
                self._out.append((holder, Fetch(self._notary.number, Stage.CHECK, owner)))

    def fetch_again(self) -> list[Outgoing]:
        """Ask for what is missing once more."""
        if self.total is not None:
            return [(None, Fetch(self._notary.number, Stage.CERTIFY, 0))]
        parts = self._fetched - self._sure.keys()
        if self._notary.me in self._runs and self._notary.me not in self._sure:
            parts |= {self._notary.me}
        return [(None, Fetch(self._notary.number, Stage.CHECK, part)) for part in sorted(parts)] or [
            (None, Fetch(self._notary.number, Stage.CERTIFY, 0))
        ]

    def _finish(self) -> None:
        if self.total is not None or self._sure.keys() != self._runs.keys():
            return
        total = np.concatenate([self._sure[owner] for owner in self._runs], axis=1)
        self.total = to_signed(total.reshape(-1)[: self._terms.size])
        if self._mine is not None:
            digest = hashlib.sha256(total.astype(_WORD, copy=False).tobytes()).digest()
            made_of = self._chunks.keys() - self._fetched  # a run that failed may have been sent again since
            parts = {owner: (self._chunks[owner][0], self._chunks[owner][2]) for owner in made_of}
            self._out.append((None, self._signed.sign(digest, parts)))

    def _made(self, owners: Collection[int]) -> bytes | None:
        """The digest of the sum that the runs of these owners make; None where that is not all of it."""
        if owners != self._runs.keys():
            return None  # some were decoded from shares, of which the certificate does not tell
        total = np.concatenate([self._chunks[owner][1] for owner in self._runs], axis=1)
        return hashlib.sha256(total.astype(_WORD, copy=False).tobytes()).digest()

    def _located(self, values: int, liars: int) -> Certainty:
        return located(values, self._terms.packing.degree, liars, self._terms.quorum.bound)

    # --- small questions ------------------------------------------------------------------------------------------

    def _combined(self, owner: int) -> tuple[Vector | None, Vector]:
        """Combinations (COMBINATIONS,) of our share of a run, and (COMBINATIONS, ℓ) of the run as its owner sent it, by
        coefficients drawn from the digest of the run.
        """
        said, chunk, _ = self._chunks[owner]
        kept = self._combinations.get(said)
        if kept is None:
            rows = chunk if self._mine is None else np.concatenate([chunk, self._mine[None, self._runs[owner]]])
            kept = self._combinations[said] = inner(self._layout.weights(owner, self._chunks[owner][0]), rows)
        return (None if self._mine is None else kept[:, -1]), kept[:, : len(chunk)]
