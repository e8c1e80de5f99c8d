"""How the messages of a private round travel. What their bodies hold is judged where it is understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from consensus.meeting_messages import BaseCopy, BaseWanted, ChannelKeyNotice, Standing
from consensus.private_messages import (
    SIGNATURE_BYTES,
    VALUE_BYTES,
    Bundle,
    Fetch,
    Item,
    Portion,
    PortionKind,
    Role,
    Sealed,
    Stage,
    Vote,
)
from crypto.identity import PEER_ID_CHARACTERS
from crypto.sealing import PUBLIC_BYTES
from overlay.wire_kinds import Check, Kind, blob, integer, text

MAX_ROUND: Final = 2**31 - 1
MAX_MEMBER: Final = 255
MAX_BLOCK: Final = 2**20
MAX_VIEW: Final = 2 * MAX_MEMBER
MAX_SECONDS: Final = 2**40

_NO_BODY = memoryview(b"")
_FIELDS: Final[Mapping[str, Check]] = {
    "round": integer(MAX_ROUND),
    "stage": integer(max(Stage)),
    "author": integer(MAX_MEMBER),
    "owner": integer(MAX_MEMBER),
    "part": integer(MAX_MEMBER),
    "block": integer(MAX_BLOCK),
    "view": integer(MAX_VIEW + 2),
    "step": integer(1),
    "role": integer(max(Role)),
    "kind_of": integer(max(PortionKind)),
    "value": blob(VALUE_BYTES),
    "signature": blob(SIGNATURE_BYTES),
    "base": blob(VALUE_BYTES),
    "opened": integer(MAX_ROUND),
    "made": integer(MAX_SECONDS),
    "peer": text(PEER_ID_CHARACTERS),
}
_HEADERS: Final[Mapping[tuple[str, str], str]] = {
    # "kind" is the header's own word for which message this is; the owner of a portion is a place in the roster.
    ("portion", "kind"): "kind_of",
    ("channel_key", "owner"): "peer",
}


def _kind(message: type[Any], name: str, *, item_bytes: int = 1, body_bytes: int | None = None) -> Kind:
    """The kind of a message whose fields are header fields of the same names, and a body where there is one."""
    names = [item.name for item in fields(message)]
    bodied = "body" in names
    header = {_HEADERS.get((name, item), item): item for item in names if item != "body"}

    def pack(one: Any) -> tuple[dict[str, Any], memoryview]:
        body = memoryview(one.body).cast("B") if bodied else _NO_BODY
        return {key: _plain(getattr(one, item)) for key, item in header.items()}, body

    def unpack(found: Mapping[str, Any], body: memoryview) -> Any:
        known = {item: found[key] for key, item in header.items()}
        return message(**known, body=body.toreadonly()) if bodied else message(**known)

    return Kind(name, {key: _FIELDS[key] for key in header}, pack, unpack, item_bytes * bodied, body_bytes)


def _plain(value: object) -> object:
    return int(value) if isinstance(value, int) else value


PRIVATE_KINDS: Final[Mapping[type[Any], Kind]] = {
    Sealed: _kind(Sealed, "sealed"),
    Item: _kind(Item, "item"),
    Vote: _kind(Vote, "vote"),
    Bundle: _kind(Bundle, "bundle"),
    Fetch: _kind(Fetch, "fetch"),
    Portion: _kind(Portion, "portion"),
    ChannelKeyNotice: _kind(ChannelKeyNotice, "channel_key", body_bytes=PUBLIC_BYTES),
    Standing: _kind(Standing, "standing"),
    BaseWanted: _kind(BaseWanted, "base_wanted"),
    BaseCopy: _kind(BaseCopy, "base_copy", item_bytes=4),
}
