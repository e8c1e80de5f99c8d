from __future__ import annotations

import csv
import gzip
import io
import lzma
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.learning.data import load_dataset
from node.learning.dataset import stratified_rows
from node.learning.errors import DataError
from node.learning.loaders import source, table


def make(rows: int = 40) -> str:
    rng = random.Random(1)
    lines = ["temp,site,mode,state"]
    for row in range(rows):
        temp = "" if row == 3 else f"{rng.gauss(20, 5):.3f}"
        mode = ("auto", "hand", "?")[row % 3]
        lines.append(f"{temp},{row % 4},{mode},{'ok' if row % 2 else 'bad'}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "t.csv") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return f"csv:{tmp_path / name}"

    return write


def test_numeric_columns_are_standardised_by_the_training_rows(write):
    split = load_dataset(write(make()), label="state")
    at = split.train.feature_names.index("temp")
    cells = [line.split(",")[0] for line in make().splitlines()[1:]]
    labels = np.array([row % 2 for row in range(40)])
    train, test = stratified_rows(labels, 0.2, 20_240_229)
    numbers = np.array([float(cell) if cell else np.nan for cell in cells])
    mean, deviation = np.nanmean(numbers[train]), np.nanstd(numbers[train])
    for rows, part in ((train, split.train), (test, split.test)):
        expected = np.nan_to_num((numbers[rows] - mean) / deviation)
        assert np.allclose(part.features[:, at], expected, atol=1e-5)


def test_other_columns_are_one_hot_and_missing_is_a_category(write):
    split = load_dataset(write(make()), label="state")
    assert split.train.feature_names == ("temp", "site", "mode=?", "mode=auto", "mode=hand")
    assert (split.train.features[:, 2:].sum(axis=1) == 1).all()
    assert split.train.classes == ("bad", "ok")
    assert (len(split.train), len(split.test)) == (32, 8)


def test_the_column_that_deals_rows_is_no_feature(write):
    split = load_dataset(write(make()), label="state", column="site")
    assert "site" not in split.train.feature_names
    assert split.train.groups is not None
    assert set(split.train.groups) == {"0", "1", "2", "3"}
    everything = sorted(split.train.groups.tolist() + split.test.groups.tolist())
    assert everything == sorted(str(row % 4) for row in range(40))


@pytest.mark.parametrize(("suffix", "compress"), [(".csv.gz", gzip.compress), (".csv.xz", lzma.compress)])
def test_compressed_files_hold_the_same(write, tmp_path, suffix, compress):
    plain = load_dataset(write(make()), label="state")
    (tmp_path / f"t{suffix}").write_bytes(compress(make().encode()))
    packed = load_dataset(f"csv:{tmp_path}/t{suffix}", label="state")
    assert np.array_equal(plain.train.features, packed.train.features)


def test_classes_can_be_fixed_where_a_file_lacks_one(write):
    train = load_dataset(write(make()), label="state", classes=["worse", "ok", "bad"]).train
    assert train.classes == ("bad", "ok", "worse")
    assert set(train.labels) == {0, 1}
    with pytest.raises(DataError, match=r"t\.csv:2: column 'state': 'bad' is none of ok, worse"):
        load_dataset(write(make()), label="state", classes=["worse", "ok"])


def test_a_constant_column_is_zero_not_infinite(write):
    text = "a,b,label\n" + "".join(f"7,{row},{row % 2}\n" for row in range(20))
    split = load_dataset(write(text))
    assert (split.train.features[:, 0] == 0).all()
    assert (split.test.features[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 columns"),
        ("label\n1\n", "1 columns"),
        ("a,label\n", "no row below the header"),
        ("a,a,label\n1,2,3\n", r"t\.csv:1: the name 'a' of column 2"),
        ("a,,label\n1,2,3\n", r"t\.csv:1: the name ''"),
        ("a,b\n1,2\n", r"t\.csv:1: no column 'label'"),
        ("a,label\n1,x\n1,2,3\n", r"t\.csv:3: 3 cells where the header has 2"),
        ("a,label\n1,x\n2,\n", r"t\.csv:3: column 'label': no label"),
        ("a,label\n1,x\n2,x\n", "has 1 classes"),
        ("a,label\n1,x\n2,y\n", "2 rows are too few"),
        ('a,label\n1,"x\n2,y\n', r"t\.csv:3: not a comma-separated table"),
        (
            "a,label\n" + "".join(f"{v},{v % 2}\n" for v in range(9)) + "inf,1\n",
            r"t\.csv:11: column 'a': 'inf' is beyond",
        ),
        (
            "a,label\n" + "".join(f"{v},{v % 2}\n" for v in range(99)) + "1O,1\n",
            r"t\.csv:101: column 'a' has 100 .*'1O'",
        ),
    ],
)
def test_errors_name_file_line_and_column(write, text, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(write(text))
    assert caught.value.remedy


def test_limits(write, monkeypatch):
    monkeypatch.setattr(table, "MAX_ROWS", 30)
    with pytest.raises(DataError, match="more than 30 rows"):
        load_dataset(write(make()), label="state")
    monkeypatch.undo()
    monkeypatch.setattr(table, "MAX_FEATURES", 2)
    with pytest.raises(DataError, match="5 features"):
        load_dataset(write(make()), label="state")


def test_what_would_take_too_much_room_is_refused_before_any_is_taken(write, monkeypatch):
    encoded = []
    monkeypatch.setattr(table, "_encode", lambda *given: encoded.append(given))
    monkeypatch.setattr(table, "MAX_FEATURES", 2)
    with pytest.raises(DataError, match="5 features"):
        load_dataset(write(make()), label="state")
    monkeypatch.setattr(table, "MAX_FEATURES", 5)
    monkeypatch.setattr(table, "MAX_VALUES", 199)
    with pytest.raises(DataError, match="40 rows of 5 features are more than 199 values"):
        load_dataset(write(make()), label="state")
    monkeypatch.setattr(table, "MAX_VALUES", 200)
    monkeypatch.setattr(table, "MAX_LETTERS", 159)
    with pytest.raises(DataError, match="'mode' deals the rows and has a cell of 4 letters"):
        load_dataset(write(make()), label="state", column="mode")
    assert not encoded


def test_a_cell_and_a_name_have_an_end(write):
    long = "x" * (table.MAX_CELL + 1)
    with pytest.raises(DataError, match=r"t\.csv:3: a cell of more than"):
        load_dataset(write(f"a,label\n1,2\n1,{long}\n"))
    with pytest.raises(DataError, match=r"the name of column 1 has more than") as caught:
        load_dataset(write(f"{long},label\n1,2\n"))
    assert len(str(caught.value)) < 500


def test_a_small_file_that_decompresses_without_end_is_refused(tmp_path):
    (tmp_path / "bomb.csv.xz").write_bytes(lzma.compress(bytes(1 << 20)))
    with pytest.raises(DataError, match="holds more than 1000 bytes"):
        source.read_bytes(tmp_path / "bomb.csv.xz", limit=1000)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.xz"])
def test_unreadable_files(tmp_path, name):
    with pytest.raises(DataError, match="no such file"):
        load_dataset(f"csv:{tmp_path / name}")
    (tmp_path / name).write_bytes(b"\xff\xfe\x1f\x8b")
    with pytest.raises(DataError, match=r"UTF-8|cannot be read"):
        load_dataset(f"csv:{tmp_path / name}")


@given(cells=st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=4), max_size=12))
def test_any_table_gives_a_split_or_a_data_error(tmp_path_factory, cells):
    text = io.StringIO()
    csv.writer(text).writerows(cells)
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(("a,b,label\n" + text.getvalue()).encode("utf-8", "surrogatepass"))
    try:
        split = load_dataset(f"csv:{path}")
    except DataError:
        return
    assert len(split.train) + len(split.test) <= len(cells)


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_split_or_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "t.csv"
    path.write_bytes(data)
    try:
        load_dataset(f"csv:{path}")
    except DataError:
        return
