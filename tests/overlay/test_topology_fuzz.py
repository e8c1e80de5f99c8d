import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from overlay.topology import MAX_FILE_BYTES, Topology, TopologyError, load_topology, parse_topology
from overlay.topology_schema import NodeName
from tests.overlay.files import LONG, document, parsed


def test_a_file_is_read(tmp_path):
    path = tmp_path / "plant.toml"
    path.write_text(document(), encoding="utf-8")
    assert load_topology(path) == load_topology(str(path)) == parsed()


def test_a_file_that_cannot_be_read(tmp_path):
    for path, why in [
        (tmp_path / "none.toml", "No such file"),
        (tmp_path, "Is a directory"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(TopologyError, match=why):
            load_topology(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"#" * (MAX_FILE_BYTES + 1), "larger than 1048576 bytes"),
        (b'name = "plant"\nseed = \xff', "line 2 is not UTF-8"),
        (b'name = "pl\0ant"', "not a TOML file"),
        (b"name = ", "not a TOML file: Invalid value"),
        (b"name = 1\nname = 2", "not a TOML file"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"name = " + b"[" * 9 + b"]" * 9, '"name": nested too deeply'),
        (b"seed = " + b"1" * 5000, "not a TOML file"),
        (b".".join([b"a"] * 100_000) + b" = 1", "more than 32 dots"),
        (b"[" + b" . ".join([b'"a"'] * 50_000) + b"]", "more than 32 dots"),
        (b"x" * 500_000, "not a TOML file"),
        (b"", "name is missing (and 2 more)"),
    ],
    ids=range(12),
)
def test_a_hostile_file_is_one_clear_error(tmp_path, content, problem):
    path = tmp_path / "plant.toml"
    path.write_bytes(content)
    with pytest.raises(TopologyError) as refused:
        load_topology(path)
    assert refused.value.problem.startswith(f"{path}: ")
    assert problem in refused.value.problem


def is_harmless(error):
    return (error.problem + error.remedy).isprintable() and len(error.problem) < 1000


def outcome(text):
    """None, or the error; anything else that is raised fails the test."""
    try:
        parse_topology(text, "fuzz.toml")
    except TopologyError as error:
        return error
    return None


@given(st.text(max_size=200))
def test_no_text_raises_anything_else(text):
    error = outcome(text)
    assert error is not None
    assert is_harmless(error) or "not a TOML file" in error.problem


@settings(max_examples=150)
@given(st.data())
def test_no_edit_of_a_sound_file_raises_anything_else(data):
    start = data.draw(st.integers(0, len(LONG)))
    stop = data.draw(st.integers(start, min(len(LONG), start + 30)))
    outcome(LONG[:start] + data.draw(st.text(max_size=10)) + LONG[stop:])


scalars = (
    st.none().map(lambda _: "")
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, 10**100, -(10**100)])
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data(), values)
def test_no_value_of_any_key_raises_anything_else(data, value):
    raw = TypeAdapter(dict).validate_python(tomllib.loads(LONG))
    raw["task"]["hidden"], raw["node"] = (16, 8), tuple(raw["node"])
    section = data.draw(
        st.sampled_from([raw, *(table for table in raw.values() if isinstance(table, dict)), raw["node"][1]])
    )
    section[data.draw(st.sampled_from(sorted(section)) | st.text(max_size=8))] = value
    try:
        Topology.of(raw, "fuzz.toml")
    except TopologyError as error:
        assert is_harmless(error), ascii(error.problem)  # noqa: PT017 - most values are refused, some are not


@pytest.mark.parametrize("key", ["node.", "node.x", "node.²", "node.٣", f"node.{'9' * 5000}", ".", "graph.ring"])
def test_a_key_that_looks_like_a_path_is_not_taken_for_one(key):
    error = outcome(f'"{key}" = 1\n{LONG}')
    assert error is not None
    assert is_harmless(error)
    assert "is not a known key" in error.problem


@given(st.text(max_size=80))
def test_a_name_is_a_folder_of_its_own(text):
    try:
        name = TypeAdapter(NodeName).validate_python(text)
    except ValidationError:
        return
    assert name == text
    assert name.isascii()
    assert not set(name) & set("/\\:\0 ")
    assert name[0] != "."
