"""Room on a screen, cut into boxes: cells of a fixed number, and shares of what they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Share:
    """So many parts of the room that is left, and at least so many cells."""

    parts: int = 1
    least: int = 0


Size = int | Share


class Box(NamedTuple):
    """A rectangle of cells, from the top left corner of the screen that it is part of."""

    x: int
    y: int
    width: int
    height: int

    def across(self, *sizes: Size) -> list[Box]:
        """Boxes side by side; what does not fit is cut off."""
        ends = _ends(self.width, sizes)
        return [Box(self.x + start, self.y, stop - start, self.height) for start, stop in ends]

    def down(self, *sizes: Size) -> list[Box]:
        """Boxes one below the other; what does not fit is cut off."""
        ends = _ends(self.height, sizes)
        return [Box(self.x, self.y + start, self.width, stop - start) for start, stop in ends]

    def holds(self, x: int, y: int) -> bool:
        """Whether the cell is in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def _ends(room: int, sizes: tuple[Size, ...]) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    spare = max(0, room - sum(size for size in sizes if isinstance(size, int)))
    parts = sum(size.parts for size in sizes if isinstance(size, Share))
    found, at, before = [], 0, 0
    for size in sizes:
        if isinstance(size, int):
            length = size
        else:
            # Ends are rounded and not lengths: together the shares are all that there is.
            length = max(size.least, spare * (before + size.parts) // parts - spare * before // parts)
            before += size.parts
        found.append((min(at, room), min(at + length, room)))
        at += length
    return found
