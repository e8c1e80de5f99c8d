"""How messages of encrypted and of masked rounds travel. What their bodies hold is judged where it is understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeAlias

import numpy as np

from consensus.encrypted_messages import COUNTED_BYTES, Ciphertext, EncryptedMessage, Opened, RoundKey, Total
from consensus.masked_messages import (
    Dealt,
    Decided,
    Hello,
    Lacking,
    Masked,
    MaskedMessage,
    Report,
    Revealed,
    Stage,
    Summed,
)
from crypto.commitment import DIGEST_BYTES
from crypto.identity import SIGNATURE_BYTES
from overlay.wire_kinds import Check, Kind, blob, integer

SumMessage: TypeAlias = EncryptedMessage | MaskedMessage

MAX_ROUND: Final = 2**31 - 1

_NO_BODY = memoryview(b"")
_FLOAT32 = np.dtype("<f4")
_FIELDS: Final[Mapping[str, Check]] = {
    "round": integer(MAX_ROUND),
    "stage": integer(max(Stage)),
    "fragment": integer(8 * COUNTED_BYTES - 1),
    "members": blob(COUNTED_BYTES),
    "counted": blob(COUNTED_BYTES),
    "key": blob(DIGEST_BYTES),
    "signature": blob(SIGNATURE_BYTES),
}


def _kind(message: type[Any], name: str) -> Kind:
    """The kind of a message whose fields are header fields of the same names, and "body" or "vector" its body."""
    names = [item.name for item in fields(message)]
    header = [item for item in names if item in _FIELDS]
    bodied = "body" in names

    def pack(one: Any) -> tuple[dict[str, Any], memoryview]:
        body = memoryview(one.body).cast("B") if bodied else _NO_BODY
        return {item: getattr(one, item) for item in header}, body

    def unpack(found: Mapping[str, Any], body: memoryview) -> Any:
        return message(**found, body=body.toreadonly()) if bodied else message(**found)

    return Kind(name, {item: _FIELDS[item] for item in header}, pack, unpack, item_bytes=int(bodied))


def _pack_opened(message: Opened) -> tuple[dict[str, Any], memoryview]:
    vector = message.vector
    if vector.dtype != np.float32 or vector.ndim != 1 or not vector.flags.c_contiguous:
        raise ValueError(f"opened.vector must be contiguous float32 (d,), got {vector.dtype} {vector.shape}")
    body = vector.astype(_FLOAT32, copy=False).view(np.uint8).data  # a copy on big-endian machines alone
    return {"round": message.round, "counted": message.counted, "signature": message.signature}, body


def _unpack_opened(found: Mapping[str, Any], body: memoryview) -> Opened:
    return Opened(vector=np.frombuffer(body.toreadonly(), _FLOAT32).astype(np.float32, copy=False), **found)


SUM_KINDS: Final[Mapping[type[Any], Kind]] = {
    RoundKey: _kind(RoundKey, "round-key"),
    Ciphertext: _kind(Ciphertext, "ciphertext"),
    Total: _kind(Total, "total"),
    Opened: Kind(
        "opened",
        {item: _FIELDS[item] for item in ("round", "counted", "signature")},
        _pack_opened,
        _unpack_opened,
        item_bytes=_FLOAT32.itemsize,
    ),
    Hello: _kind(Hello, "hello"),
    Dealt: _kind(Dealt, "dealt"),
    Report: _kind(Report, "report"),
    Decided: _kind(Decided, "decided"),
    Masked: _kind(Masked, "masked"),
    Revealed: _kind(Revealed, "revealed"),
    Summed: _kind(Summed, "summed"),
    Lacking: _kind(Lacking, "lacking"),
}
