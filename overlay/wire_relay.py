"""How relayed messages and those of the beacon travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from consensus.beacon_messages import MAX_NODES, RUMOURS_EACH, BeaconMessage, Inventory, Rumour, SeedProof
from consensus.private_messages import SIGNATURE_BYTES
from consensus.relay_messages import MESSAGES_EACH, Reached, Relayed
from overlay.wire_kinds import Check, Kind, blob, integer

RelayMessage = Relayed | Reached | BeaconMessage

_MAX_ROUND: Final = 2**31 - 1
_MAX_PLACE: Final = 4095
_FIELDS: Final[Mapping[str, Check]] = {
    "round": integer(_MAX_ROUND),
    "epoch": integer(_MAX_ROUND),
    "origin": integer(_MAX_PLACE),
    "target": integer(_MAX_PLACE),
    "sequence": integer(MESSAGES_EACH - 1),
    "sits": integer(1),
    "signature": blob(SIGNATURE_BYTES),
}
_RUMOUR_FIELDS: Final = {**_FIELDS, "origin": integer(MAX_NODES - 1), "sequence": integer(RUMOURS_EACH - 1)}


def _kind(message: type[Any], name: str, *names: str, fields: Mapping[str, Check] = _FIELDS) -> Kind:
    def pack(one: Any) -> tuple[dict[str, Any], memoryview]:
        return {key: getattr(one, key) for key in names}, memoryview(one.body).cast("B")

    def unpack(header: Mapping[str, Any], body: memoryview) -> Any:
        return message(**{key: header[key] for key in names}, body=body.toreadonly())

    return Kind(name, {key: fields[key] for key in names}, pack, unpack, item_bytes=1)


RELAY_KINDS: Final[Mapping[type[Any], Kind]] = {
    Relayed: _kind(Relayed, "relayed", "round", "origin", "target", "sequence", "signature"),
    Reached: _kind(Reached, "reached", "round", "sits"),
    Rumour: _kind(Rumour, "rumour", "epoch", "origin", "sequence", "signature", fields=_RUMOUR_FIELDS),
    Inventory: _kind(Inventory, "inventory", "epoch"),
    SeedProof: _kind(SeedProof, "seed_proof", "epoch"),
}
