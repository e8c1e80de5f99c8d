from hypothesis import given
from hypothesis import strategies as st

from node.console.drawing.boxes import Box, Share

SIZES = st.lists(st.integers(0, 40) | st.builds(Share, st.integers(1, 5), st.integers(0, 9)), min_size=1, max_size=6)


def test_fixed_sizes_are_kept_and_shares_get_the_rest():
    first, second, third = Box(2, 1, 100, 10).across(Share(3), 20, Share(2))
    assert (first, second, third) == (Box(2, 1, 48, 10), Box(50, 1, 20, 10), Box(70, 1, 32, 10))
    assert Box(0, 0, 80, 5).across(Share(), Share(), Share()) == [
        Box(0, 0, 26, 5),
        Box(26, 0, 27, 5),
        Box(53, 0, 27, 5),
    ]


def test_what_is_least_is_kept_as_long_as_there_is_room():
    assert [box.height for box in Box(0, 0, 9, 12).down(Share(), Share(least=9))] == [6, 6]
    assert [box.height for box in Box(0, 0, 9, 20).down(Share(4), Share(least=9))] == [16, 4]


@given(st.integers(0, 60), SIZES)
def test_boxes_follow_each_other_inside_their_room_whatever_is_asked_for(width, sizes):
    boxes = Box(0, 0, width, 3).across(*sizes)
    at = 0
    for box in boxes:
        assert box.x == at
        assert box.width >= 0
        at += box.width
    assert at <= width
    if any(isinstance(size, Share) for size in sizes):
        assert at == width


def test_a_cell_is_in_its_box_and_in_no_other():
    left, right = Box(0, 0, 10, 4).across(4, Share())
    assert left.holds(3, 3)
    assert not left.holds(4, 3)
    assert right.holds(4, 0)
    assert not right.holds(9, 4)
