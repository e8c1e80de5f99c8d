import json

from hypothesis import given
from hypothesis import strategies as st

from node import journal
from tests.node.test_status import closed

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["ready", "round", "x"])
    | st.lists(st.none())
)
OBJECTS = st.dictionaries(st.sampled_from(["type", "at", "up", "expected", "round"]), VALUES).map(
    lambda fields: json.dumps(fields).encode()
)


@given(st.binary(max_size=300) | OBJECTS)
def test_any_line_is_an_event_or_none(line):
    event = journal.parse(line)
    assert event is None or isinstance(event, journal.Ready)


def test_figures_that_no_run_has_are_not_read():
    for field, value in (("bytes_sent", 10**400), ("test_accuracy", 5.0), ("round_s", 1e308), ("round", -1)):
        fields = json.loads(closed(0).model_dump_json()) | {field: value}
        assert journal.parse(json.dumps(fields).encode()) is None


def test_a_giant_line_is_not_parsed():
    assert journal.parse(b'{"type":"ready","at":1,"up":1,"expected":1' + b" " * journal.MAX_LINE_BYTES + b"}") is None


def test_what_is_not_known_is_read_back_as_such():
    refused = journal.Refused(at=1, peer=None, address="10.0.0.9", reason="no handshake", count=3)
    assert journal.parse(refused.model_dump_json().encode()) == refused
