"""Known answers: of an independent computation (`tests/tools/crypto_vectors.py`), and of the protocol's slow reference,
with its random draws put in the place of ours.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from crypto import field
from crypto.decoding import decode
from crypto.field import Matrix, from_signed, lagrange
from crypto.fixedpoint import FixedPoint
from crypto.norm_proof import BitShares, Checker, MaskShares, ProofParameters
from crypto.randomness import Stream
from crypto.sealing import BlockCipher, BoxContext, commit_key, leaf_of
from crypto.shamir import Dealer, Packing, expand, share_at_zero, share_packed, stripes
from crypto.sketch import Sketch
from tests.crypto import oracle
from tests.crypto.oracle import drawn

FOLDER = Path(__file__).parent.parent / "vectors"
KNOWN = json.loads((FOLDER / "crypto.json").read_text())
CELL = json.loads((FOLDER / "cell_sum.json").read_text())
PACKING = Packing(CELL["members"], CELL["tolerated"], CELL["packed"], CELL["liars"], 1)


def elements(values):
    return np.array(values, dtype=np.uint32)


class Drawn:
    """A stream that gives what somebody else drew."""

    def __init__(self, *draws):
        self._draws = list(draws)

    def elements(self, *shape):
        return elements(self._draws.pop(0)).reshape(shape)


def test_field():
    known = KNOWN["field"]
    a, b = elements(known["a"]), elements(known["b"])
    assert field.add(a, b).tolist() == known["sum"]
    assert field.subtract(a, b).tolist() == known["difference"]
    assert field.multiply(a, b).tolist() == known["product"]
    assert [field.inverse(value) for value in known["b"]] == known["inverse"]
    assert Matrix(known["matrix"]).apply([elements(c) for c in known["columns"]]).tolist() == known["image"]
    assert [list(row) for row in lagrange(tuple(known["sources"]), tuple(known["targets"]))] == known["lagrange"]


def test_fixed_point():
    known = KNOWN["fixedpoint"]
    fixed = FixedPoint(known["scale"], known["clip"], members=8)
    update = np.array([float.fromhex(value) for value in known["update"]], dtype=np.float32)
    assert fixed.encode(update, Stream(bytes.fromhex(known["seed"]), "rounding")).tolist() == known["points"]


def test_dealing():
    known = KNOWN["dealing"]
    packing, seeds = Packing(known["members"], 2, known["packed"], 1, 1), [bytes.fromhex(s) for s in known["seeds"]]
    dealer = Dealer(packing, known["seeded"])
    dealt = dict(zip(dealer.computed, dealer.deal(elements(known["secrets"]), seeds).tolist(), strict=True))
    dealt |= {h: expand(seed, 5).tolist() for h, seed in zip(known["seeded"], seeds, strict=True)}
    assert [dealt[h] for h in range(known["members"])] == known["shares"]


def test_norm_proof():
    known = KNOWN["norm_proof"]
    sizes = {name: known[name] for name in ("rows", "clip", "bound_bits", "shift")}
    parameters = ProofParameters(Packing(8, 2, 3, 1, 1), **sizes)
    assert parameters.tau == known["tau"]
    take = lambda label, count: elements(drawn(label, count))  # noqa: E731
    masks = MaskShares(take("R", 2), take("Ra", 3), take("Rb", 1), take("Z", 1))
    rows = parameters.rows * parameters.bits
    bits = BitShares(take("bits", rows), take("slack", parameters.slack_bits), take("M", 2))
    checker = Checker(parameters, Sketch(bytes([1]) * 32, parameters.rows, 3), bytes([2]) * 32)
    (scalars,) = checker.scalars([take("share", 4)], [masks], [bits])
    assert scalars.to_vector().tolist() == known["scalars"]


def test_sealing():
    known = KNOWN["sealing"]
    fields = {k: bytes.fromhex(v) if k in ("swarm", "layout") else v for k, v in known["fields"].items()}
    context, key = BoxContext(**fields), bytes.fromhex(known["key"])
    assert context.encode().hex() == known["context"]
    commitment = commit_key(key, context)
    assert commitment.hex() == known["commitment"]
    cipher = BlockCipher(key, context, len(known["messages"]))
    sealed = [cipher.seal(index, bytes.fromhex(message)) for index, message in enumerate(known["messages"])]
    assert [block.hex() for block in sealed] == known["sealed"]
    assert [cipher.open(index, block).hex() for index, block in enumerate(sealed)] == known["messages"]
    leaf = leaf_of(b"w" * 40, commitment, [hashlib.sha256(block).digest() for block in sealed])
    assert leaf.digest().hex() == known["leaf"]


# The protocol's reference


def test_the_reference_deals_what_we_deal_and_what_the_oracle_deals():
    draws, t, packed = CELL["draws"], CELL["tolerated"], CELL["packed"]
    secrets = stripes(from_signed(np.array(CELL["vector"], dtype=np.int32)), packed)
    assert share_packed(PACKING, secrets, Drawn(draws["share rows"])).tolist() == CELL["shares"]
    random = np.reshape(draws["share rows"], (t, -1))
    for column in range(secrets.shape[1]):
        shares = oracle.share_column(secrets[:, column].tolist(), random[:, column].tolist(), CELL["members"])
        assert shares == [row[column] for row in CELL["shares"]]


def test_the_reference_masks_as_we_mask():
    draws, packed, masks = CELL["draws"], CELL["packed"], CELL["masks"]
    degree = elements(draws["degree mask"]).reshape(packed, 1)
    assert share_packed(PACKING, degree, Drawn(draws["degree mask rows"]))[:, 0].tolist() == masks["R"]
    secrets = elements(draws["sketch mask"]).reshape(packed, packed)
    assert share_packed(PACKING, secrets, Drawn(draws["sketch mask rows"])).tolist() == masks["Ra"]
    value = elements([field.sum_of(secrets.diagonal())])
    assert share_at_zero(PACKING, value, 2, Drawn(draws["value mask rows"]))[:, 0].tolist() == masks["Rb"]
    assert share_at_zero(PACKING, elements([0]), 4, Drawn(draws["zero mask rows"]))[:, 0].tolist() == masks["Z"]


def spelled():
    """Bits of the rows and of the slack, by the oracle."""
    X = np.reshape(CELL["vector"], (CELL["packed"], -1)).tolist()
    rows = [[[c * a for a in row] for c in stripes] for row, stripes in zip(CELL["A"], CELL["c"], strict=True)]
    values, bound = oracle.sketch_values(rows, X), CELL["bound"]
    assert oracle.norm_statement(values, bound, CELL["shift"], CELL["tau"])
    slack = CELL["tau"] - sum((y >> CELL["shift"]) ** 2 for y in values)
    width = bound.bit_length()
    bits = [y + bound >> j & 1 for y in values for j in range(width)]
    return rows, bits, [slack >> j & 1 for j in range(CELL["slack_bits"])], width


def test_the_reference_publishes_the_scalars_of_the_oracle():
    draws, weights, masks = CELL["draws"], CELL["weights"], CELL["masks"]
    rows, bits, slack, width = spelled()
    shared = [
        share_at_zero(PACKING, elements(secret), 2, Drawn(draws[name]))
        for secret, name in ((bits, "bit rows"), (slack, "slack rows"), (draws["bit mask"], "bit mask rows"))
    ]
    for place, holder in enumerate(CELL["bit shares"]["holders"]):
        assert shared[0][:, :][holder].tolist() == CELL["bit shares"]["rows"][place]
        assert shared[1][holder].tolist() == CELL["bit shares"]["slack"][place]
        assert shared[2][holder].tolist() == [CELL["bit shares"]["degree"][place]]
    for holder in range(CELL["members"]):
        found = oracle.holder_scalars(
            CELL["shares"][holder],
            [[masks["R"][holder]], masks["Ra"][holder], [masks["Rb"][holder]], [masks["Z"][holder]]],
            [part[holder].tolist() for part in shared],
            rows,
            ([weights["rho"]], [weights["bit rho"]], weights["rows"], weights["statement"], weights["norm"]),
            (width, CELL["shift"], CELL["bound"], CELL["tau"]),
        )
        assert found == [published["word"][holder] for published in CELL["scalars"]]
    assert CELL["verdict"] is True


@pytest.mark.parametrize("case", CELL["decoded"], ids=lambda case: f"{case['degree']}-{case['liars']}")
def test_the_reference_decodes_what_we_decode(case):
    word = {holder: value for holder, value in enumerate(case["word"]) if value is not None}
    decoded = decode(word, case["degree"], CELL["liars"], (0, -1, -2))
    assert list(decoded.values) == case["values"]
    assert sorted(decoded.liars) == case["liars"]
    values, liars = oracle.nearest_codeword(word, case["degree"], CELL["liars"])
    assert (values[:3], sorted(liars)) == (case["values"][: case["degree"] + 1], case["liars"])


def test_the_rule_by_which_vectors_are_drawn_is_that_of_sha_256():
    assert drawn("R", 1) == [int.from_bytes(hashlib.sha256(b"R 0").digest()[:4], "big") % oracle.P]
