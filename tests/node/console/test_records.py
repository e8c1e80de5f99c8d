import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.console.logs.records import KIND, RECORDS_MAX, Records, line_of
from node.view.read_models import TEXT_MAX, LogLine

RECORD = {"timestamp": "2026-11-22T13:55:45.803453Z", "level": "warning", "event": "refused", "node": "press-1",
          "status": 403, "peer": "press-2", "round": 7}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def test_a_record_is_a_line_with_what_else_it_tells_behind_it():
    line = line_of(RECORD, 3)
    assert line == LogLine(
        id=3, at=1795355745.803453, level="warning", kind=KIND, text="refused  status=403  peer=press-2", round=7,
        peer="press-2",
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"timestamp": "yesterday"}, {"timestamp": 3}, {"level": "loud"}, {"level": None}, {"event": 1}, {"event": None},
     {"kind": "round", "id": 8}],
)  # fmt: skip
def test_what_is_no_record_or_an_event_again_is_passed_over(change):
    assert line_of(RECORD | change, 1) is None


@given(JSON)
def test_nothing_that_a_file_or_a_node_sends_raises_or_drives_a_terminal(value):
    log = Records()
    log.add(value)
    log.add(RECORD | {"event": "x", "more": value, str(value): value})
    (line,) = log.among([])
    assert line.text.isprintable()
    assert len(line.text) <= TEXT_MAX


def test_records_stand_among_events_by_time_and_the_oldest_go():
    log = Records()
    for second in range(RECORDS_MAX + 10):
        log.add(RECORD | {"timestamp": f"2026-11-22T13:{second // 60 % 60:02}:{second % 60:02}Z"})
    first = log.among([])[0]
    assert (log.total, log.dropped, first.id) == (RECORDS_MAX + 10, 10, 11)
    event = LogLine(id=1, at=first.at + 0.5, level="info", kind="ready", text="ready")
    assert [line.kind for line in log.among([event])[:3]] == [KIND, "ready", KIND]
