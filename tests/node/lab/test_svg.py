import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.lab.svg import Drawing, Scale, decades, spread, ticks

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, max_size=20))
def test_spread_keeps_order_gap_and_room(wanted):
    high = max(wanted, default=0.0) + 20 * 15
    places = spread(wanted, 15.0, min(wanted, default=0.0) - 20 * 15, high)
    ranked = [place for _, place in sorted(zip(wanted, places, strict=True))]
    assert all(b - a >= 15 - 1e-6 for a, b in zip(sorted(ranked), sorted(ranked)[1:], strict=False))
    assert all(place <= high + 1e-6 for place in places)
    assert [round(p, 6) for p in ranked] == sorted(round(p, 6) for p in ranked) or len(set(wanted)) < len(wanted)


def test_spread_leaves_what_is_apart_and_shares_what_is_not():
    assert spread([10, 50, 90], 15, 0, 100) == [10, 50, 90]
    assert spread([50, 50], 10, 0, 100) == [45, 55]
    assert spread([99, 100], 10, 0, 100) == [90, 100]
    assert spread([0, 1], 10, 0, 100) == [0, 10]


@given(finite, st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_and_inside(low, span, wanted):
    found = ticks(low, low + span, wanted)
    assert len(found) <= wanted + 1
    slack = 1e-6 * (1 + abs(low) + span)  # nothing that an eye sees on an axis of that length
    assert all(low - slack <= value <= low + span + slack for value in found)


def test_ticks_and_decades_by_hand():
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 29, 6) == [0, 5, 10, 15, 20, 25]
    assert ticks(3, 3, 5) == [3]
    assert decades(0.001, 100) == pytest.approx([0.001, 0.01, 0.1, 1, 10, 100])
    assert decades(0.08, 2.4) == pytest.approx([0.1, 0.2, 0.5, 1, 2])
    assert len(decades(1.1, 1.9)) >= 2


def test_scales():
    assert Scale(0, 10, 100, 200)(2.5) == 125
    assert Scale(0, 1, 300, 0)(1.0) == 0
    assert math.isclose(Scale(0.01, 100, 0, 4, log=True)(1.0), 2)
    assert Scale(0.01, 100, 0, 4, log=True)(0.0) == 0
    assert Scale(5, 5, 0, 10)(5) == 5


@given(st.text())
def test_any_text_makes_wellformed_markup(text):
    drawing = Drawing(10, 10, text)
    group = drawing.group("a", data_name="x")
    drawing.hint(drawing.text(1, 2, text, parent=group), text)
    drawn = ET.fromstring(str(drawing.render()))
    assert drawn.find("g/text") is not None
