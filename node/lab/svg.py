"""Drawing in SVG: elements, scales, and labels that keep their distance.

Colours are CSS classes, so that one drawing serves light, dark and paper. Text is escaped by ElementTree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from node.words import plain


class Drawing:
    """One `<svg>` of `width` × `height` user units. `title` is what a screen reader says."""

    def __init__(self, width: float, height: float, title: str, kind: str = "") -> None:
        self.width, self.height = width, height
        self._root = ET.Element(
            "svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": plain(title), "class": kind}
        )

    def note(self, **attributes: str) -> None:
        """Data for the page's script, on the `<svg>` itself."""
        self._root.attrib.update(_named(attributes))

    def group(self, kind: str, parent: ET.Element | None = None, **attributes: str) -> ET.Element:
        """A `<g>` to draw into; `_` in attribute names becomes `-`."""
        return ET.SubElement(self._root if parent is None else parent, "g", _named({"class": kind, **attributes}))

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, parent: ET.Element | None = None) -> None:
        """From (x1, y1) to (x2, y2)."""
        place = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2), "class": kind}
        ET.SubElement(self._root if parent is None else parent, "line", place)

    def text(
        self, x: float, y: float, words: str, kind: str = "", anchor: str = "start", parent: ET.Element | None = None
    ) -> ET.Element:
        """`words` with the baseline at `y`."""
        place = {"x": _n(x), "y": _n(y), "class": kind, "text-anchor": anchor}
        element = ET.SubElement(self._root if parent is None else parent, "text", place)
        element.text = plain(words)
        return element

    def shape(self, tag: str, kind: str, parent: ET.Element | None = None, **attributes: float | str) -> ET.Element:
        """Any other element; numbers are rounded, `_` in names becomes `-`."""
        values = {key: value if isinstance(value, str) else _n(value) for key, value in attributes.items()}
        return ET.SubElement(self._root if parent is None else parent, tag, _named({"class": kind, **values}))

    def hint(self, element: ET.Element, words: str) -> None:
        """What a browser shows while the pointer rests on `element`."""
        ET.SubElement(element, "title").text = plain(words)

    def render(self) -> Markup:
        """The element, ready to stand in a page."""
        return Markup(ET.tostring(self._root, encoding="unicode"))  # noqa: S704 - ElementTree has escaped every text


def _named(attributes: dict[str, str]) -> dict[str, str]:
    return {key.replace("_", "-"): value for key, value in attributes.items()}


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True, slots=True)
class Scale:
    """Values `low`..`high` to positions `start`..`end`, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where `value` stands."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """About `wanted` round values (1, 2 or 5 times a power of ten apart) within `low`..`high`."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten within `low`..`high`, closer values where those would be few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        found = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if len(found) >= 3:
            return found
    return ticks(low, high, 4)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near `wanted`, at least `gap` apart and within `low`..`high` where that is possible.

    Labels that would touch are pooled into a block around their mean: the least squares solution
    (pool adjacent violators; Barlow et al., Statistical Inference under Order Restrictions, 1972).
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    blocks: list[tuple[float, int]] = []  # mean of (wanted − offset within all labels), length
    for rank, index in enumerate(order):
        centre, length = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] >= centre:
            before, count = blocks.pop()
            centre = (before * count + centre * length) / (count + length)
            length += count
        blocks.append((centre, length))
    flat = [centre for centre, length in blocks for _ in range(length)]
    room = max(low, high - (len(wanted) - 1) * gap)
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = min(room, max(low, flat[rank])) + rank * gap
    return places
