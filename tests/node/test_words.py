import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import words
from node.lab import colours


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (words.accuracy, 0.9412, "94.1 %"), (words.accuracy, None, "–"), (words.accuracy, 1, "100.0 %"),
        (words.gain, 0.158, "+15.8"), (words.gain, -0.02, "−2.0"),
        (words.size, 0, "0 B"), (words.size, 999, "999 B"), (words.size, 1536, "1.5 kB"),
        (words.size, 138_054, "138 kB"), (words.size, 999_999, "1.0 MB"), (words.size, 4_140_000, "4.1 MB"),
        (words.duration, 0.0123, "12 ms"), (words.duration, 0.9999, "1.00 s"), (words.duration, 3.1, "3.10 s"),
        (words.duration, 14.2, "14.2 s"), (words.duration, 75, "1 min 15 s"), (words.duration, 7260, "2 h 1 min"),
        (words.distance, 0.08558, "0.0856"), (words.distance, None, "–"),
    ],
)  # fmt: skip
def test_figures_read_well(function, value, text):
    assert function(value) == text


@given(st.text())
def test_plain_text_is_one_printable_bounded_line(text):
    shown = words.plain(text, 20)
    assert len(shown) <= 20
    assert shown.isprintable()


def test_plain_keeps_what_people_write():
    assert words.plain("Presse 1 – Übung") == "Presse 1 – Übung"
    assert words.plain("abcdef", 4) == "abc…"


def test_the_scale_of_accuracy_falls_and_rises_in_lightness():
    def lightness(colour: str) -> float:
        red, green, blue = bytes.fromhex(colour[1:])
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light = [lightness(colour) for colour in colours.steps(colours.SCALE_LIGHT)]
    dark = [lightness(colour) for colour in colours.steps(colours.SCALE_DARK)]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)
    assert len(light) == len(dark) == colours.STEPS


def test_steps_and_ink():
    assert [colours.step(value, 0.5, 1.0) for value in (0.0, 0.5, 0.75, 1.0, 2.0)] == [0, 0, 6, 11, 11]
    assert colours.step(0.5, 0.5, 0.5) == 11
    assert colours.ink_on("#ffffff") == "#111111"
    assert colours.ink_on("#235370") == "#ffffff"
