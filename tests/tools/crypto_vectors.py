"""Prints known answers for crypto, computed apart from it: plain integers, hashlib, AES by pycryptodome.

pip install pycryptodome
python -m tests.tools.crypto_vectors > tests/vectors/crypto.json
"""

import hashlib
import hmac
import json
import math
from fractions import Fraction

from Crypto.Cipher import AES

from tests.crypto import oracle
from tests.crypto.oracle import P, drawn

SPAN = 1024


def keystream(seed, label, size):
    key = hmac.digest(seed, b"grapevine stream v1\x00" + label.encode() + b"\x01", hashlib.sha256)
    counters = b"".join(i.to_bytes(16, "big") for i in range(-(-size // 16)))
    return AES.new(key, AES.MODE_ECB).encrypt(counters)[:size]


def words(seed, label, count):
    raw = keystream(seed, label, 4 * count)
    return [int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4)]


def elements(seed, label, count):
    kept = [w & P for w in words(seed, label, count + 8) if w & P != P]
    return kept[:count]


def encode(domain, *parts):
    def one(part):
        if isinstance(part, int):
            kind, body = b"i", part.to_bytes(part.bit_length() // 8 + 1, "big", signed=True)
        else:
            kind, body = (b"b", part) if isinstance(part, bytes) else (b"s", part.encode())
        return kind + len(body).to_bytes(8, "big") + body

    return b"".join(one(part) for part in (domain, *parts))


def digest(domain, *parts):
    return hashlib.sha256(encode(domain, *parts)).digest()


def field():
    a = [0, 1, P - 1, P // 2, P // 2 + 1, *drawn("field a", 5)]
    b = [P - 1, P - 1, P - 1, 2, 2, *drawn("field b", 5)]
    rows, columns = [drawn(f"matrix {i}", 4) for i in range(3)], [drawn(f"column {i}", 6) for i in range(4)]
    pairs = list(zip(a, b, strict=True))
    return {
        "a": a,
        "b": b,
        "sum": [(x + y) % P for x, y in pairs],
        "difference": [(x - y) % P for x, y in pairs],
        "product": [x * y % P for x, y in pairs],
        "inverse": [pow(y, P - 2, P) for y in b],
        "matrix": rows,
        "columns": columns,
        "image": [[sum(m * c[j] for m, c in zip(row, columns, strict=True)) % P for j in range(6)] for row in rows],
        "sources": [0, -1, 2, 5],
        "targets": [1, 3, -2],
        "lagrange": [
            [oracle.interpolate([0, -1, 2, 5], [int(i == j) for j in range(4)], target) for i in range(4)]
            for target in (1, 3, -2)
        ],
    }


def fixedpoint():
    seed, scale, clip = bytes(range(32)), 1000.0, 2.0
    update = [math.sin(k) for k in range(12)]
    update = [float.fromhex(value.hex()) for value in update]
    norm = math.sqrt(sum(single(v) ** 2 for v in update))
    factor = scale * (clip / norm if norm > clip else 1.0)
    points = []
    for value, word in zip(update, words(seed, "rounding", 12), strict=True):
        offset = (Fraction(word - (word >> 31 << 32)) + Fraction(1, 2)) / 2**32
        points.append(round(Fraction(single(value) * factor) + offset))
    return {"seed": seed.hex(), "scale": scale, "clip": clip, "update": [v.hex() for v in update], "points": points}


def single(value):
    """The nearest float32, by the bits of the double."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 2**24), exponent - 24)


def dealing():
    members, packed, seeded, columns = 8, 3, [2, 5], 5
    seeds = [bytes([i + 1]) * 32 for i in range(2)]
    secrets = [drawn(f"secret {q}", columns) for q in range(packed)]
    random = [elements(seed, "share 0", columns) for seed in seeds]
    points = [-q for q in range(packed)] + [h + 1 for h in seeded]
    shares = [
        [oracle.interpolate(points, [row[c] for row in (*secrets, *random)], h + 1) for c in range(columns)]
        for h in range(members)
    ]
    return {"members": members, "packed": packed, "seeded": seeded, "seeds": [s.hex() for s in seeds],
            "secrets": secrets, "shares": shares}  # fmt: skip


def sketch_rows(coin, rows, packed, columns):
    """Entries (rows, stripes, columns); columns ≤ SPAN."""
    entry = lambda byte: (byte & 1) + (byte >> 1 & 1) - 1  # noqa: E731
    a = keystream(coin, "sketch columns", rows * SPAN)
    c = keystream(coin, "sketch spans", packed * rows)
    d = keystream(coin, "sketch signs", packed * SPAN // 8)
    sign = lambda q, v: 1 - 2 * (d[q * SPAN // 8 + v // 8] >> v % 8 & 1)  # noqa: E731
    return [
        [[entry(c[q * rows + r]) * entry(a[r * SPAN + v]) * sign(q, v) for v in range(columns)] for q in range(packed)]
        for r in range(rows)
    ]


def norm_proof():
    rows, packed, columns, width, shift, clip, repeats = 32, 3, 4, 4, 1, 1, 2
    tau = int((1 + 3 * math.sqrt(5 / rows)) * rows / 4 * clip**2 / 4**shift)
    slack, coins = tau.bit_length(), (bytes([1]) * 32, bytes([2]) * 32)
    share = drawn("share", columns)
    masks = [drawn("R", repeats), drawn("Ra", packed), drawn("Rb", 1), drawn("Z", 1)]
    bits = [drawn("bits", rows * width), drawn("slack", slack), drawn("M", repeats)]
    flat = elements(coins[1], "check C1b", repeats * (rows * width + slack))
    half = len(flat) // repeats
    weights = (
        [elements(coins[1], f"check C1 {repeat}", columns) for repeat in range(repeats)],
        [flat[:half], flat[half:]],
        elements(coins[1], "check C2", rows),
        elements(coins[1], "check C3", rows * width + slack),
        elements(coins[1], "check C4", 1)[0],
    )
    matrix = sketch_rows(coins[0], rows, packed, columns)
    scalars = oracle.holder_scalars(share, masks, bits, matrix, weights, (width, shift, 1 << width - 1, tau))
    return {"rows": rows, "clip": clip, "bound_bits": width - 1, "shift": shift, "tau": tau, "scalars": scalars}


def sealing():
    key = hashlib.sha256(b"one-time key").digest()
    fields = {"swarm": "73" * 32, "epoch": 4, "round": 1000, "dealer": "dealer", "holder": "holder", "members": 8,
              "tolerated": 2, "packed": 3, "prime": P, "size": 4810, "layout": "6c" * 32,
              "purpose": "share"}  # fmt: skip
    parts = [bytes.fromhex(v) if k in ("swarm", "layout") else v for k, v in fields.items()]
    context = encode("grapevine box v1", *parts)
    messages, sealed = [b"masks and columns", b"more columns"], []
    for index, message in enumerate(messages):
        associated = encode("grapevine block v1", context, index, len(messages))
        cipher = AES.new(digest("grapevine block key v1", key, associated), AES.MODE_GCM, nonce=bytes(12))
        cipher.update(associated)
        sealed.append(b"".join(cipher.encrypt_and_digest(message)))
    commitment = digest("grapevine one-time key v1", key, context)
    digests = [hashlib.sha256(block).digest() for block in sealed]
    blocks = digest("grapevine box blocks v1", hashlib.sha256(b"w" * 40).digest(), *digests)
    leaf = hashlib.sha256(b"\x00" + blocks + commitment).digest()
    return {"key": key.hex(), "fields": fields, "context": context.hex(), "messages": [m.hex() for m in messages],
            "sealed": [block.hex() for block in sealed], "commitment": commitment.hex(),
            "leaf": leaf.hex()}  # fmt: skip


if __name__ == "__main__":
    answers = {
        "source": "plain integers, hashlib, AES-ECB and AES-GCM of pycryptodome; computed apart from crypto",
        "command": "python -m tests.tools.crypto_vectors > tests/vectors/crypto.json",
        "field": field(),
        "fixedpoint": fixedpoint(),
        "dealing": dealing(),
        "norm_proof": norm_proof(),
        "sealing": sealing(),
    }
    print(json.dumps(answers, separators=(",", ":")))
