"""The Byzantine benchmark's results: kept line by line, gone on with, drawn."""

import json

import pytest
from rich.console import Console

from tests.benchmarks import byzantine, byzantine_map
from tests.benchmarks.byzantine_results import SOURCES, Results, digests, done, worked_off
from tests.benchmarks.byzantine_tasks import ADVERSARIES, WORKERS, Task, grid
from tests.benchmarks.machine import Figures

PROGRAMS = {"matrix": "today"}
TASKS = grid("digits", 3, ["open mean", "open fading-mean"], ["none", "backdoor"], ["dirichlet-1.0"])


def result(mean=90.0, success=None, caught=None):
    return {
        "mean": mean,
        "worst": mean - 5,
        "success": success,
        "caught_after": caught,
        "false_share": 0.01,
        "evicted": 0,
    }


def worked(seen):
    def work(task):
        seen.append(task)
        return result(success=7.0 if "backdoor" in task.words else None)

    return work


def test_what_is_there_is_not_done_again(tmp_path):
    path, seen, told = tmp_path / "r.jsonl", [], []
    kept = Results(path, PROGRAMS)
    kept.keep(TASKS[2], result(mean=11.0))
    found = dict(done(TASKS, Results(path, PROGRAMS), 1, lambda *what: told.append(what), worked(seen)))
    assert seen == [TASKS[0], TASKS[1], TASKS[3]]
    assert [left for _, _, left in told] == [2, 1, 0]
    assert found[TASKS[2]]["mean"] == 11.0
    assert set(found) == set(TASKS)
    assert dict(done(TASKS, Results(path, PROGRAMS), 1, lambda *_: None, worked(seen))) == found
    assert len(seen) == 3


def test_who_is_interrupted_goes_on_where_it_was(tmp_path):
    path = tmp_path / "r.jsonl"

    def interrupted(task):
        if task == TASKS[2]:
            raise KeyboardInterrupt
        return result()

    with pytest.raises(KeyboardInterrupt):
        list(done(TASKS, Results(path, PROGRAMS), 1, lambda *_: None, interrupted))
    again = Results(path, PROGRAMS)
    assert [task in again for task in TASKS] == [True, True, False, False]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_is_done_once_however_many_work(jobs):
    words = ["a" * length for length in range(7)]
    assert sorted(worked_off(words, jobs, len)) == [(word, len(word)) for word in words]


def test_half_a_line_spoils_no_other(tmp_path):
    path = tmp_path / "r.jsonl"
    Results(path, PROGRAMS).keep(TASKS[0], result())
    path.write_bytes(path.read_bytes() + b'{"program": "today", "kind": "mat')
    kept = Results(path, PROGRAMS)
    assert TASKS[0] in kept
    kept.keep(TASKS[1], result(mean=12.0))
    again = Results(path, PROGRAMS)
    assert again[TASKS[1]]["mean"] == 12.0
    assert TASKS[0] in again


def test_another_programs_results_are_not_taken(tmp_path):
    path = tmp_path / "r.jsonl"
    Results(path, {"matrix": "yesterday"}).keep(TASKS[0], result())
    assert TASKS[0] not in Results(path, PROGRAMS)


def test_a_digest_follows_the_sources_of_its_kind(tmp_path):
    (tmp_path / "detect" / "peers").mkdir(parents=True)
    watch = tmp_path / "detect" / "peers" / "watch.py"
    watch.write_text("limit = 5\n")
    before = digests(tmp_path)
    watch.write_text("limit = 6\n")
    after = digests(tmp_path)
    assert {kind for kind in before if before[kind] != after[kind]} == {"matrix", "calm", "plant"}


def test_every_kind_of_task_has_sources_and_they_are_there():
    assert set(SOURCES) == set(WORKERS)
    root = byzantine.Path(__file__).parents[1]
    assert [
        (kind, pattern) for kind, patterns in SOURCES.items() for pattern in patterns if not any(root.glob(pattern))
    ] == []


def test_the_full_grid_has_every_adversary_under_every_mode_of_the_default():
    cells = {task.words[:4] for task in byzantine.FULL.matrix}
    wanted = {
        (data, partition, mode, adversary)
        for data in ("digits", "mnist")
        for partition in ("dirichlet-1.0", "dirichlet-0.3")
        for mode in byzantine.MODE_SETTINGS
        for adversary in ADVERSARIES
    }
    assert wanted <= cells
    assert len(byzantine.FULL.tasks()) == len(set(byzantine.FULL.tasks()))


def test_pictures_and_tables_say_what_was_measured_and_leave_open_what_was_not(tmp_path):
    results = {
        TASKS[0]: result(91.4), TASKS[1]: result(90.2, success=98.8),
        TASKS[2]: result(91.3), TASKS[3]: result(89.7, success=1.7, caught=3.0),
    }  # fmt: skip
    del results[TASKS[2]]
    console = Console(width=200, record=True, file=(tmp_path / "out").open("w"))
    byzantine_map.tables(results, console)
    told = console.export_text()
    for number in ("91.4", "98.8", "89.7 backdoor", "1.7", "(84.7) q3 s1.00"):
        assert number in told
    assert "–" in told
    byzantine_map.heat_map(results, tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_figures_are_flat_and_have_no_cell_twice(tmp_path):
    results = dict.fromkeys(TASKS, result(success=1.0, caught=4.0))
    results[Task("published", ("ios", "alie", 20, 4, 50))] = {"mean": 83.0, "least": 80.0, "apart": 0.1}
    results[Task("calm", ("open", 1, 200))] = {"accuracy": 96.0, "shunned_share": 0.002, "evicted": 0}
    results[Task("plant", (3.0, 20))] = {"accuracy": 94.0, "caught_percent": 100.0, "first": 29, "last": 44,
                                         "honest_shunned": 0.0}  # fmt: skip
    figures: Figures = byzantine.figures_of(results, full=False)
    said = json.loads(figures.write(tmp_path, "byzantine").read_text())
    assert said["digits_dirichlet-1.0_open_fading-mean_backdoor_backdoor_percent"] == 1.0
    assert said["digits_dirichlet-1.0_open_fading-mean_backdoor_false_quarantine_percent"] == 1.0
    assert said["published_setting_ios_alie_beside_20_with_4_percent"] == 83.0
    assert said["calm_open_false_quarantine_percent"] == pytest.approx(0.2)
    assert said["plant_flip_3_caught_percent"] == 100.0
