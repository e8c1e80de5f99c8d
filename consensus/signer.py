"""How a member signs in a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crypto.identity import PeerId


@dataclass(frozen=True, slots=True)
class Signer:
    """How a round signs as its member, and checks what the others signed; `randbytes` is cryptographic."""

    sign: Callable[[bytes], bytes]
    verify: Callable[[PeerId, bytes, bytes], bool]
    randbytes: Callable[[int], bytes]
