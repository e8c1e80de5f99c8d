import io
import sys

import pytest
from rich.console import Console

from node import journal
from node.errors import RunError
from node.lab.progress import LabProgress, NodeProgress, View, draw, one_line
from tests.node.test_status import closed, started


def lab(count=3):
    return LabProgress("plant: 3 nodes", {f"press-{i}": NodeProgress(f"press-{i}", 30) for i in range(1, count + 1)})


def text_of(renderable, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_the_fold_follows_a_node_through_its_life():
    progress = lab()
    progress.apply("press-1", [started(), journal.Connected(at=1, peer="press-2", up=1)])
    assert (progress.nodes["press-1"].status, progress.nodes["press-1"].up) == ("started", 1)
    progress.apply("press-1", [journal.Ready(at=5.0, up=2, expected=2), closed(0, test_accuracy=0.5), closed(1)])
    node = progress.nodes["press-1"]
    assert (node.status, node.done, node.accuracy, node.bytes_sent, node.ready_at) == ("running", 2, 0.9, 2000, 5.0)
    assert not progress.over
    progress.apply("press-1", [journal.Finished(at=6, rounds=30), journal.Stopped(at=7, reason="x", cpu_s=1.5)])
    assert (progress.nodes["press-1"].status, progress.nodes["press-1"].cpu_s) == ("finished", 1.5)


def test_a_restart_keeps_the_first_moment_of_readiness_and_adds_up_the_processor_time():
    progress = lab()
    for at in (5.0, 50.0):
        progress.apply("press-1", [started(), journal.Ready(at=at, up=2, expected=2)])
        progress.apply("press-1", [journal.Stopped(at=at + 1, reason="x", cpu_s=1.0)])
    assert (progress.nodes["press-1"].ready_at, progress.nodes["press-1"].cpu_s) == (5.0, 2.0)
    assert progress.nodes["press-1"].status == "stopped"


def test_a_lab_is_finished_when_every_node_is_or_gave_up():
    progress = lab(2)
    progress.apply("press-1", [journal.Finished(at=1, rounds=30)])
    progress.mark("press-2", "crashed")
    assert not progress.over
    progress.mark("press-2", "gave up")
    assert progress.over
    progress.mark("press-2", "stopped")
    assert progress.over


@pytest.mark.parametrize(("count", "lines"), [(3, 3), (32, 32), (100, 32)])
def test_the_table_fits_its_screen_and_says_what_it_hides(count, lines):
    text = text_of(draw(lab(count)))
    assert max(map(len, text.splitlines())) <= 80
    assert sum("press-" in line for line in text.splitlines()) == lines
    assert ("and 68 more nodes" in text) == (count == 100)


def test_off_a_terminal_a_line_comes_at_most_every_two_seconds_and_only_when_something_changed():
    output = io.StringIO()
    view, progress = View(Console(file=output, width=80)), lab()
    with view.open():
        view.show(progress)
        progress.apply("press-1", [closed(0)])
        view.show(progress)
    assert output.getvalue().count("\n") == 1
    assert "round 0/30" in output.getvalue()


def test_off_a_terminal_a_note_does_not_wait():
    output = io.StringIO()
    view, progress = View(Console(file=output, width=80)), lab()
    with view.open():
        for note in ("", "stopping", "stopping", ""):
            progress.note = note
            view.show(progress)
    assert [line.split(" s  ")[1] for line in output.getvalue().splitlines()] == [
        "round 0/30, 0/3 nodes running",
        "stopping",
    ]


def test_one_line_shows_the_slowest_round_and_the_mean_accuracy():
    progress = lab(2)
    progress.apply("press-1", [closed(4, test_accuracy=0.8)])
    progress.apply("press-2", [closed(2, test_accuracy=0.6)])
    assert one_line(progress) == "round 3/30, 0/2 nodes running, accuracy 0.700"


def test_a_lab_is_over_when_who_is_left_lacks_a_quorum_for_good():
    progress = lab()
    progress.apply("press-1", [journal.Paused(at=3.0, round=2, cause="quorum", reason="1 of 3")])
    assert progress.nodes["press-1"].status == "no quorum"
    progress.apply("press-2", [journal.Finished(at=4.0, rounds=9)])
    progress.mark("press-3", "crashed")
    assert not progress.over  # it is started again
    progress.mark("press-3", "gave up")
    assert progress.over
    progress.apply("press-1", [journal.Unpaused(at=5.0, round=2, reason="2 of 3")])
    assert not progress.over
    progress.apply("press-1", [journal.Paused(at=6.0, round=4, cause="operator", reason="by ops")])
    assert progress.nodes["press-1"].status == "paused"
    assert not progress.over  # somebody will resume it


def test_a_reader_that_goes_away_is_an_error_in_two_lines(monkeypatch):
    class Gone(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    console = Console(file=Gone())
    # Rich puts /dev/null in the place of this process's standard output before it does.
    monkeypatch.setattr(console, "on_broken_pipe", lambda: sys.exit(1))
    with pytest.raises(RunError, match="has ended") as caught:
        View(console).show(lab())
    assert caught.value.remedy
