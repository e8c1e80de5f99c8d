from hypothesis import given
from hypothesis import strategies as st

from node.cli.canvas import Canvas

BRAILLE = range(0x2800, 0x2900)


def test_dots_become_braille():
    canvas = Canvas(2, 1)
    for dot in ((0, 0), (1, 3), (2, 1)):
        canvas.line(dot, dot, "")
    # U+2800 plus the bits of the dots: dot 1 is 0x01, dot 8 is 0x80, dot 2 is 0x02 (Unicode chapter 21.1).
    assert canvas.render().plain == "\u2881\u2802"


def test_a_level_line_fills_every_dot_of_its_row():
    canvas = Canvas(4, 1)
    canvas.line((0.5, 1.5), (6.5, 1.5), "")
    assert canvas.render().plain == "\u2820\u2824\u2824\u2824"


def test_a_gap_leaves_dots_out():
    canvas = Canvas(4, 1)
    canvas.line((0, 0), (7, 0), "", gap=2)
    assert canvas.render().plain == "\u2801" * 4


def test_text_stands_over_lines_and_empty_lines_are_cut():
    canvas = Canvas(9, 5)
    canvas.line((0, 9), (17, 9), "")
    canvas.write((2, 2), "press", "")
    assert canvas.render().plain == "\u2812\u2812press\u2812\u2812"


def test_styles_reach_the_text():
    canvas = Canvas(3, 1)
    canvas.line((0, 0), (1, 0), "red")
    canvas.write((2, 0), "x", "bold")
    assert [(span.start, span.style) for span in canvas.render().spans] == [(0, "red"), (2, "bold")]


def test_crossing_counts_dots_and_shuns_text_and_borders():
    canvas = Canvas(20, 3)
    canvas.line((0, 5), (9, 5), "")
    canvas.write((10, 0), "abc", "")
    assert canvas.crossing((0, 1), 3) == 6
    assert canvas.crossing((0, 2), 3) == 0
    assert canvas.crossing((11, 0), 4) >= 1000
    assert canvas.crossing((13, 0), 4) >= 1000  # right behind another text
    assert canvas.crossing((14, 0), 4) == 0
    assert canvas.crossing((18, 0), 3) >= 1000
    assert canvas.crossing((-1, 0), 3) >= 1000
    assert canvas.crossing((0, 3), 3) >= 1000


@given(st.lists(st.tuples(*[st.floats(-50, 150)] * 4), max_size=5))
def test_lines_that_leave_the_canvas_are_cut_off(lines):
    canvas = Canvas(10, 4)
    for x1, y1, x2, y2 in lines:
        canvas.line((x1, y1), (x2, y2), "")
    drawn = canvas.render().plain.split("\n")
    assert len(drawn) <= 4
    assert all(len(line) <= 10 for line in drawn)
    assert all(character == " " or ord(character) in BRAILLE for line in drawn for character in line)


def test_text_outside_is_cut_off():
    canvas = Canvas(3, 2)
    for row in (-1, 2, 99):
        canvas.write((0, row), "abc", "")
    canvas.write((-1, 0), "abcde", "")
    assert [line.plain for line in canvas.lines()] == ["bcd", ""]
