"""Messages to bytes and back, without I/O.

A frame is  prefix | header | body:

    prefix   16 bytes, big-endian: magic "GRV", version u8, header bytes u32, body bytes u64
    header   msgpack map: "kind", and the fields of that kind, all of them and no others
    body     the array of the message, raw little-endian; empty for kinds without one

Lengths are checked against `Limits` before anything is allocated for them. The body goes from the socket's buffer
into its own, once, and leaves as a read-only view. Whatever bytes come in, `Decoder.receive` raises `WireError` alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import numpy as np

from consensus.meeting_messages import ChannelKeyNotice, MeetingMessage
from consensus.messages import Contribution, Unchanged, Unheard
from consensus.private_messages import PrivateMessage
from overlay.wire_kinds import Kind, blob, integer, quote
from overlay.wire_private import PRIVATE_KINDS
from overlay.wire_relay import RELAY_KINDS, RelayMessage
from overlay.wire_sums import SUM_KINDS, SumMessage

VERSION: Final = 1
DIGEST_BYTES: Final = 32
MAX_ROUND: Final = 2**31 - 1
MAX_PHASE: Final = 31
MAX_NONCE: Final = 2**64 - 1

_MAGIC = b"GRV"
_PREFIX = struct.Struct("!3sBIQ")
_FLOAT32 = np.dtype("<f4")


class WireError(Exception):
    """A peer's bytes are not a message of ours. Final: nothing after them can be trusted to begin a frame."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first message each way: what two nodes must agree on before they average. Digests of 32 bytes."""

    swarm: bytes
    """Of the topology: `Topology.digest()`."""
    layout: bytes
    """Of names and shapes of the model's parameters: `Layout.digest()`."""

    def mismatch(self, theirs: Greeting) -> str | None:
        """Why a node with this greeting refuses `theirs`; None where the two agree."""
        if self.swarm != theirs.swarm:
            return f"another topology ({_short(theirs.swarm)}, ours is {_short(self.swarm)}): share one topology file"
        if self.layout != theirs.layout:
            return (
                f"another model layout ({_short(theirs.layout)}, ours is {_short(self.layout)}): "
                "the data sets differ in features or classes, or the versions in their models"
            )
        return None


@dataclass(frozen=True, slots=True)
class Ping:
    """A question whether the other side lives. Answered with `Pong` of the same nonce (0 ≤ nonce < 2**64)."""

    nonce: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `Ping`."""

    nonce: int


Message = (
    Greeting
    | Ping
    | Pong
    | Contribution
    | Unchanged
    | Unheard
    | PrivateMessage
    | SumMessage
    | MeetingMessage
    | ChannelKeyNotice
    | RelayMessage
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may make us allocate, in bytes. A node that knows its model sets `max_body` to that model's size."""

    max_header: int = 4096
    max_body: int = 64 * 2**20


def _float32(value: object) -> None:
    if value != "float32":
        raise ValueError(f"must be 'float32', got {quote(value)}")


def _pack_contribution(message: Contribution) -> tuple[dict[str, Any], memoryview]:
    vector = message.vector
    if vector.dtype != np.float32 or vector.ndim != 1 or not vector.flags.c_contiguous:
        raise ValueError(f"contribution.vector must be contiguous float32 (d,), got {vector.dtype} {vector.shape}")
    body = vector.astype(_FLOAT32, copy=False).view(np.uint8).data  # a copy on big-endian machines alone
    return {"round": message.round, "phase": message.phase, "dtype": "float32"}, body


def _unpack_contribution(header: Mapping[str, Any], body: memoryview) -> Contribution:
    vector = np.frombuffer(body.toreadonly(), _FLOAT32).astype(np.float32, copy=False)
    return Contribution(header["round"], header["phase"], vector)


_NO_BODY = memoryview(b"")

_KINDS: Final[Mapping[type[Any], Kind]] = {
    Greeting: Kind(
        "greeting",
        {"swarm": blob(DIGEST_BYTES), "layout": blob(DIGEST_BYTES)},
        lambda m: ({"swarm": m.swarm, "layout": m.layout}, _NO_BODY),
        lambda header, _: Greeting(header["swarm"], header["layout"]),
    ),
    Ping: Kind(
        "ping",
        {"nonce": integer(MAX_NONCE)},
        lambda m: ({"nonce": m.nonce}, _NO_BODY),
        lambda header, _: Ping(header["nonce"]),
    ),
    Pong: Kind(
        "pong",
        {"nonce": integer(MAX_NONCE)},
        lambda m: ({"nonce": m.nonce}, _NO_BODY),
        lambda header, _: Pong(header["nonce"]),
    ),
    Contribution: Kind(
        "contribution",
        {"round": integer(MAX_ROUND), "phase": integer(MAX_PHASE), "dtype": _float32},
        _pack_contribution,
        _unpack_contribution,
        item_bytes=_FLOAT32.itemsize,
    ),
    Unchanged: Kind(
        "unchanged",
        {"round": integer(MAX_ROUND), "digest": blob(DIGEST_BYTES)},
        lambda m: ({"round": m.round, "digest": m.digest}, _NO_BODY),
        lambda header, _: Unchanged(header["round"], header["digest"]),
    ),
    Unheard: Kind(
        "unheard",
        {"round": integer(MAX_ROUND)},
        lambda m: ({"round": m.round}, _NO_BODY),
        lambda header, _: Unheard(header["round"]),
    ),
    **PRIVATE_KINDS,
    **SUM_KINDS,
    **RELAY_KINDS,
}
_BY_NAME: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _KINDS.values()}


def encode(message: Message) -> tuple[bytes, memoryview]:
    """The frame of `message`: prefix and header, and the body as a view of the message's own array.

    Raises `ValueError` for a message that no peer of ours would accept: that is an error of ours.
    """
    kind = _KINDS[type(message)]
    header, body = kind.pack(message)
    kind.check(header, body.nbytes)
    packed: bytes = msgpack.packb({"kind": kind.name, **header})
    return _PREFIX.pack(_MAGIC, VERSION, len(packed), body.nbytes) + packed, body


class Decoder:
    """Bytes of one connection in, messages out, cut as they may be."""

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._limits = limits
        self._fault: str | None = None
        self._begin()

    @property
    def wanted(self) -> int:
        """How many bytes the part of a frame that is under way still lacks: prefix, checked header, or body.

        A body counts from the moment its header was found good, so whoever grants a peer credit for `wanted` bytes
        never grants more than the limits allow.
        """
        return self._wanted

    def receive(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """The messages that `data` completes. `data` may be reused after the call.

        Raises `WireError`, and again on every later call. What `data` completed before the broken frame is lost with
        it: a peer that breaks the format is turned away as a whole.
        """
        if self._fault is not None:
            raise WireError(self._fault)
        rest = memoryview(data)
        messages: list[Message] = []
        try:
            while rest:
                rest = rest[self._take(rest, messages) :]
        except WireError as error:
            self._fault = str(error)
            self._begin()  # let go of the buffers
            raise
        return messages

    def _begin(self) -> None:
        self._head = bytearray()
        self._kind: Kind | None = None  # known while a body is under way
        self._header: Mapping[str, Any] = {}
        self._body = _NO_BODY
        self._wanted = _PREFIX.size

    def _take(self, data: memoryview, messages: list[Message]) -> int:
        taken = min(self._wanted, len(data))
        if self._kind is None:
            self._head += data[:taken]
        else:
            filled = len(self._body) - self._wanted
            self._body[filled : filled + taken] = data[:taken]
        self._wanted -= taken
        # Not a loop: after the prefix a header is wanted (it is never empty), after the header perhaps a body.
        if self._wanted == 0 and self._kind is None:
            self._end_of_head()
        if self._wanted == 0 and self._kind is not None:
            messages.append(self._kind.unpack(self._header, self._body))
            self._begin()
        return taken

    def _end_of_head(self) -> None:
        magic, version, header_bytes, body_bytes = _PREFIX.unpack_from(self._head)
        if len(self._head) == _PREFIX.size:
            self._check_prefix(magic, version, header_bytes, body_bytes)
            self._wanted = header_bytes
            return
        self._kind, self._header = _parse_header(bytes(self._head[_PREFIX.size :]), body_bytes)
        # np.empty leaves the pages untouched: a peer that announces a body and stalls costs address space, not memory.
        self._body = np.empty(body_bytes, np.uint8).data
        self._wanted = body_bytes

    def _check_prefix(self, magic: bytes, version: int, header_bytes: int, body_bytes: int) -> None:
        if magic != _MAGIC:
            raise WireError(f"not a frame: it begins with {quote(bytes(magic))} instead of {_MAGIC!r}")
        if version != VERSION:
            raise WireError(f"wire version {version}, ours is {VERSION}: run the same release on both nodes")
        if not 0 < header_bytes <= self._limits.max_header:
            raise WireError(f"a header of {header_bytes} bytes, 1 to {self._limits.max_header} are allowed")
        if body_bytes > self._limits.max_body:
            raise WireError(f"a body of {body_bytes} bytes, at most {self._limits.max_body} are allowed")


def _parse_header(packed: bytes, body_bytes: int) -> tuple[Kind, Mapping[str, Any]]:
    try:
        header = msgpack.unpackb(
            packed,
            raw=False,  # invalid UTF-8 raises UnicodeDecodeError, a ValueError like all that msgpack raises here
            strict_map_key=True,
            use_list=False,
            object_pairs_hook=_flat,
            max_map_len=16,
            max_array_len=0,
            max_ext_len=0,
            max_str_len=64,
            max_bin_len=64,
        )
        kind = _kind_of(header)
        kind.check(header, body_bytes)
    except ValueError as error:
        raise WireError(f"a bad header: {error}") from error
    return kind, header


def _kind_of(header: object) -> Kind:
    name = header.pop("kind", None) if isinstance(header, dict) else None
    kind = _BY_NAME.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"kind {quote(name)}, known are {', '.join(_BY_NAME)}")
    return kind


def _flat(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("it repeats a key")
    # Refused at the second level, before the depth can exhaust the stack of whatever walks the values.
    if dict in map(type, fields.values()):
        raise ValueError("it nests maps")
    return fields


def _short(digest: bytes) -> str:
    return digest[:4].hex()
