"""The bytes of TenSEAL 0.3.18 and SEAL 4, taken apart and put together.

TenSEAL packs everything with zstd and unpacks whatever it is given, parameters of a stranger included: 130 kB can name
gigabytes. So nothing that a peer sent ever reaches its parsers. On the wire there are coefficients alone, of a length
that is known beforehand; every one is checked to be below its modulus, and the objects that TenSEAL loads are written
here around them, uncompressed, with our own parameters. What is unpacked is what this process has just packed.

A SEAL object is a header of 16 bytes and its members ("SEAL serialization", seal/serialization.h); a TenSEAL object
is a protocol buffer around SEAL objects (tenseal/proto).
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import zstandard

from crypto.homomorphic_errors import HomomorphicError, LibraryError

Coefficients: TypeAlias = npt.NDArray[np.uint64]

DEGREE = 8192
"""N: coefficients of a polynomial."""
DATA_PRIME = 0xFFFFFFFD8001
"""q: of ciphertexts. 48 bits, 1 modulo 2N."""
KEY_PRIME = 0xFFFFFFFFC001
"""P: of keys beside q. SEAL divides by it after encrypting, and most of the fresh noise with it."""
COEFFICIENT_BYTES = 6
POLYNOMIALS = 2
"""Of a fresh ciphertext, of a sum of fresh ciphertexts, and of a public key."""

_LOW = 4 * DEGREE
_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC, _HEADER_BYTES, _MAJOR, _MINOR = 0xA15E, 16, 4, 3
_PLAIN, _ZSTD = 0, 2
_MEMBERS = struct.Struct("<32s?QQQdQ")  # parameters, transformed?, polynomials, N, moduli, scale, correction factor


@dataclass(frozen=True, slots=True)
class Layout:
    """What SEAL writes around the coefficients of one scheme."""

    scheme: int
    """SEAL's number: 1 for BFV, 2 for CKKS."""
    slots: int
    """Values of a ciphertext."""
    plain_modulus: int
    """t of BFV; 0 in CKKS."""
    scale: float
    """Of CKKS; 1 in BFV, where SEAL writes it too."""

    def parameters_id(self, *moduli: int) -> bytes:
        """SEAL's name for parameters (32 bytes): BLAKE2b over them (seal/encryptionparams.cpp)."""
        words = (self.scheme, DEGREE, *moduli, self.plain_modulus)
        return hashlib.blake2b(struct.pack(f"<{len(words)}Q", *words), digest_size=32).digest()

    def public_context(self, key: Coefficients) -> bytes:
        """The TenSEAL context of a public key (2, 2, N): it encrypts, and cannot decrypt."""
        moduli = _object(struct.pack("<Q", DATA_PRIME)) + _object(struct.pack("<Q", KEY_PRIME))
        plain = _object(struct.pack("<Q", self.plain_modulus))
        parameters = _object(struct.pack("<BQQ", self.scheme, DEGREE, 2) + moduli + plain)
        prefix = self._prefix(True, 1.0, DATA_PRIME, KEY_PRIME)
        public = _field(1, _object(prefix + key.tobytes())) + b"\x10\x07" + b"\x19" + struct.pack("<d", self.scale)
        return _field(1, parameters) + _field(2, public)

    def public_key(self, context: bytes) -> Coefficients:
        """The public key (2, 2, N) of a context that this process has made."""
        public = _fields(_fields(memoryview(context))[2])
        prefix = self._prefix(True, 1.0, DATA_PRIME, KEY_PRIME)
        return _inside(public[1], prefix).reshape(POLYNOMIALS, 2, DEGREE)

    def vector(self, ciphertext: Coefficients) -> bytes:
        """The TenSEAL vector of one ciphertext (2, N), full to the last slot."""
        body = _object(self._ciphertext_prefix() + ciphertext.tobytes())
        packed = _field(1, _varint(self.slots)) + _field(2, body)
        return packed + b"\x19" + struct.pack("<d", self.scale) if self.plain_modulus == 0 else packed

    def ciphertext(self, vector: bytes) -> Coefficients:
        """The ciphertext (2, N) of a vector that this process has encrypted."""
        body = _fields(memoryview(vector))[2]
        return _inside(body, self._ciphertext_prefix()).reshape(POLYNOMIALS, DEGREE)

    def _ciphertext_prefix(self) -> bytes:
        return self._prefix(self.plain_modulus == 0, self.scale, DATA_PRIME)

    def _prefix(self, transformed: bool, scale: float, *moduli: int) -> bytes:
        count = POLYNOMIALS * DEGREE * len(moduli)
        members = _MEMBERS.pack(
            self.parameters_id(*moduli), transformed, POLYNOMIALS, DEGREE, len(moduli), scale, 1
        )
        array = _HEADER.pack(_MAGIC, _HEADER_BYTES, _MAJOR, _MINOR, _PLAIN, 0, _HEADER_BYTES + 8 + 8 * count)
        return members + array + struct.pack("<Q", count)


def pack(polynomials: Coefficients) -> bytes:
    """Coefficients below 2⁴⁸ (…, N) at 6 bytes each: of each polynomial the low 32 bits of all, then the high 16."""
    rows = polynomials.reshape(-1, DEGREE)
    body = np.empty((len(rows), DEGREE * COEFFICIENT_BYTES), dtype=np.uint8)
    body[:, :_LOW].view("<u4")[:] = rows
    body[:, _LOW:].view("<u2")[:] = rows >> np.uint64(32)
    return body.tobytes()


def unpack(body: bytes | memoryview, *shape: int) -> Coefficients:
    """The coefficients of `pack`, as an array of `shape` (…, N). Raises HomomorphicError for another length."""
    rows = math.prod(shape) // DEGREE
    if len(body) != rows * DEGREE * COEFFICIENT_BYTES:
        raise HomomorphicError(f"{rows * DEGREE * COEFFICIENT_BYTES} bytes expected, got {len(body)}")
    octets = np.frombuffer(body, dtype=np.uint8).reshape(rows, DEGREE * COEFFICIENT_BYTES)
    polynomials = octets[:, _LOW:].view("<u2").astype(np.uint64)
    polynomials <<= np.uint64(32)
    polynomials |= octets[:, :_LOW].view("<u4")
    return polynomials.reshape(shape)


def _object(members: bytes) -> bytes:
    size = _HEADER_BYTES + len(members)
    return _HEADER.pack(_MAGIC, _HEADER_BYTES, _MAJOR, _MINOR, _PLAIN, 0, size) + members


def _inside(seal_object: memoryview, prefix: bytes) -> Coefficients:
    """The coefficients behind `prefix` in an object of our own process."""
    magic, header, major, _, packing, _, size = _HEADER.unpack_from(seal_object)
    if (magic, header, major, size) != (_MAGIC, _HEADER_BYTES, _MAJOR, len(seal_object)):
        raise LibraryError("SEAL writes another format than version 4: install tenseal==0.3.18")
    members = bytes(seal_object[_HEADER_BYTES:])
    if packing == _ZSTD:
        members = zstandard.ZstdDecompressor().decompressobj().decompress(members)
    if not members.startswith(prefix):
        raise LibraryError("SEAL writes other parameters than it was given: install tenseal==0.3.18")
    return np.frombuffer(members, dtype="<u8", offset=len(prefix)).astype(np.uint64)


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _fields(message: memoryview) -> dict[int, memoryview]:
    """The fields with a length in a protocol buffer of our own process, which holds none of them twice."""
    found: dict[int, memoryview] = {}
    while message:
        number, kind = message[0] >> 3, message[0] & 7
        message = message[1:]
        if kind == 1:  # eight bytes: the scale
            message = message[8:]
            continue
        value, used = _read_varint(message)
        message = message[used:]
        if kind == 2:
            found[number], message = message[:value], message[value:]
    return found


def _read_varint(message: memoryview) -> tuple[int, int]:
    value = 0
    for used, octet in enumerate(message):
        value |= (octet & 0x7F) << 7 * used
        if octet < 0x80:
            return value, used + 1
    raise LibraryError("TenSEAL writes no protocol buffer: install tenseal==0.3.18")
