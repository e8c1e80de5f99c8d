import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from node.console.drawing.cells import EDGE, cut, framed, paper_style, rows_of
from node.console.drawing.ink import Ink

INK = Ink()
BASE = paper_style(INK, INK.paper)
STYLES = st.sampled_from(["red", "bold", "on blue", "", "#123456", "bold red on green"])
WORDS = st.text(st.sampled_from("ab é⠙漢🙂"), max_size=12)


@st.composite
def texts(draw):
    text = Text(draw(st.text(st.sampled_from("ab \n漢⠙"), max_size=60)), draw(STYLES))
    for _ in range(draw(st.integers(0, 5))):
        text.stylize(draw(STYLES), draw(st.integers(0, 60)), draw(st.integers(0, 60)))
    return text


def words(row):
    return "".join(segment.text for segment in row)


@given(texts(), st.integers(1, 30), st.integers(1, 6))
def test_any_text_fills_its_room_exactly(text, width, height):
    rows = rows_of(text, width, height, BASE)
    assert len(rows) == height
    for row, line in zip(rows, text.plain.split("\n"), strict=False):
        assert sum(cell_len(segment.text) for segment in row) == width
        assert words(row).startswith(line[: max(0, width // 2)])


@given(texts())
def test_each_character_has_the_style_that_rich_gives_it(text):
    console = Console(file=io.StringIO())
    wanted = [BASE + text.get_style_at_offset(console, place) for place in range(len(text.plain))]
    lines = text.plain.split("\n")
    rows = rows_of(text, 80, len(lines), BASE)
    at = 0
    for row, line in zip(rows, lines, strict=True):
        found = [segment.style for segment in row for _ in segment.text][: len(line)]
        assert [str(style) for style in found] == [str(style) for style in wanted[at : at + len(line)]]
        at += len(line) + 1


@given(st.lists(st.tuples(WORDS, STYLES), max_size=5), st.integers(0, 30))
def test_a_row_is_cut_between_cells_and_never_through_one(parts, width):
    row = [segment for text, style in parts for segment in rows_of(Text(text, style), cell_len(text), 1, BASE)[0]]
    length = sum(cell_len(text) for text, _ in parts)
    assert sum(cell_len(segment.text) for segment in cut(row, width)) == min(width, length)


@given(WORDS, WORDS, st.integers(EDGE + 1, 40))
def test_a_frame_has_the_width_it_was_given_whatever_its_words_are(title, subtitle, width):
    inner = rows_of(Text("a\nb"), width - EDGE, 3, BASE)
    rows = framed(inner, title, subtitle, INK, BASE, width=width, lit=False)
    assert [sum(cell_len(segment.text) for segment in row) for row in rows] == [width] * 5
    assert words(rows[0]).startswith("╭─")
    assert words(rows[-1]).endswith("─╯")


def test_a_frame_is_lit_where_keys_go():
    colours = [framed([], "a", "", INK, BASE, width=9, lit=lit)[0][0].style.color for lit in (True, False)]
    assert colours == [Style.parse(INK.accent).color, Style.parse(INK.edge).color]
