import json

import pytest

from node.lab.record import Baselines, NodeRecord, RecordError, RunRecord, read_record, write_record

RECORD = RunRecord(
    name="plant",
    seed=7,
    rounds=5,
    nodes=[NodeRecord(name="a"), NodeRecord(name="b", role="adversary", adversary="alie")],
    edges=[("a", "b")],
    targets={"honest_accuracy": 0.9},
    baselines=Baselines(centralised=0.9, local_only={"a": 0.5}),
    wall_s=1.5,
)


def test_what_is_written_is_read(tmp_path):
    write_record(RECORD, tmp_path)
    assert read_record(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nodes": [{"name": "../../etc"}]}, "cannot be the name of a folder"),
        ({"nodes": [{"name": ".."}]}, "cannot be the name of a folder"),
        ({"nodes": [{"name": "a\\b"}]}, "cannot be the name of a folder"),
        ({"nodes": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "two nodes are named 'a'"),
        ({"nodes": []}, "nodes"),
        ({"edges": [["a", "z"]]}, "edges names 'z', which is no node of the run"),
        ({"restarts": {"z": 1}}, "restarts names 'z'"),
        ({"baselines": {"local_only": {"z": 0.5}}}, "baselines.local_only names 'z'"),
        ({"baselines": {"centralised": 1.5}}, "baselines.centralised"),
        ({"rounds": 10**9}, "rounds"),
        ({"wall_s": -1.0}, "wall_s"),
        ({"format": 2}, "format"),
    ],
)
def test_a_record_that_cannot_be_is_refused_with_its_place(tmp_path, change, says):
    (tmp_path / "run.json").write_text(json.dumps(json.loads(RECORD.model_dump_json()) | change))
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path)
    assert says in caught.value.problem
    assert str(tmp_path / "run.json") in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": NaN}'])
def test_a_damaged_record_is_one_error(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RecordError):
        read_record(tmp_path)


def test_a_folder_without_a_run_says_what_to_give(tmp_path):
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path / "nothing")
    assert "holds no run" in caught.value.problem
    assert "lab up" in caught.value.remedy
