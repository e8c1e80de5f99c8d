"""How one kind of message travels: the fields of its header, and what its body may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one message type travels. `pack` and `unpack` see header values that passed `fields`."""

    name: str
    fields: Mapping[str, Check]
    pack: Callable[[Any], tuple[dict[str, Any], memoryview]]
    unpack: Callable[[Mapping[str, Any], memoryview], Any]
    item_bytes: int = 0
    """The body is a multiple of this; 0: there is none."""
    body_bytes: int | None = None
    """The body is exactly this long; None: any multiple of `item_bytes`."""

    def check(self, header: Mapping[Any, Any], body_bytes: int) -> None:
        """Raise `ValueError` unless `header` (without "kind") has the fields of this kind and they fit the body."""
        if header.keys() != self.fields.keys():
            expected, got = ", ".join(self.fields), quote(list(header))
            raise ValueError(f"{self.name} has the fields {expected}; got {got}")
        for key, check in self.fields.items():
            try:
                check(header[key])
            except ValueError as error:
                raise ValueError(f"{self.name}.{key} {error}") from None
        if body_bytes % self.item_bytes if self.item_bytes else body_bytes:
            raise ValueError(f"{self.name} cannot have a body of {body_bytes} bytes (items of {self.item_bytes})")
        if self.body_bytes not in (None, body_bytes):
            raise ValueError(f"{self.name} has a body of {self.body_bytes} bytes, got {body_bytes}")


def integer(high: int) -> Check:
    """An integer from 0 to `high`."""

    def check(value: object) -> None:
        # `type is`, for a bool is an int to isinstance.
        if type(value) is not int or not 0 <= value <= high:
            raise ValueError(f"must be an integer from 0 to {high}, got {quote(value)}")

    return check


def blob(size: int) -> Check:
    """Exactly `size` bytes."""

    def check(value: object) -> None:
        if type(value) is not bytes or len(value) != size:
            raise ValueError(f"must be {size} bytes, got {quote(value)}")

    return check


def text(characters: int) -> Check:
    """Exactly so many ASCII characters that print."""

    def check(value: object) -> None:
        if type(value) is not str or len(value) != characters or not (value.isascii() and value.isprintable()):
            raise ValueError(f"must be {characters} characters, got {quote(value)}")

    return check


def quote(value: object) -> str:
    """A peer's value for an error message: on one line and bounded."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
