from __future__ import annotations

import numpy as np
import pytest

from node.learning.data import load_dataset
from node.learning.errors import DataError
from node.learning.loaders import adult

ROW = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
    "2174, 0, 40, ?, <=50K"
)
RICH = ROW.replace("<=50K", ">50K").replace("39,", "55,", 1).replace("State-gov", "?")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "adult.data").write_text(f"{ROW}\n{RICH}\n\n")
    (tmp_path / "adult.test").write_text(f"|1x3 Cross validator\n{RICH}.\n{ROW}.\n\n")
    return tmp_path


def test_encodes_a_row_by_fixed_scales_and_categories(folder):
    train = load_dataset(f"adult:{folder}").train
    row = dict(zip(train.feature_names, train.features[0], strict=True))
    on = {name for name, value in row.items() if "=" in name and value == 1}
    assert on == {
        "workclass=State-gov", "education=Bachelors", "marital-status=Never-married", "occupation=Adm-clerical",
        "relationship=Not-in-family", "race=White", "sex=Male", "native-country=?",
    }  # fmt: skip
    assert row["age"] == pytest.approx((39 - 40) / 15)
    assert row["capital-gain"] == pytest.approx(2174 / 7500)
    assert row["hours-per-week"] == 0
    assert sum(row[name] for name in row if "=" in name) == len(on)
    assert len(row) == 108


def test_test_file_loses_its_first_line_and_the_full_stops(folder):
    split = load_dataset(f"adult:{folder}")
    assert split.train.labels.tolist() == [0, 1]
    assert split.test.labels.tolist() == [1, 0]
    assert np.array_equal(split.test.features, split.train.features[::-1])
    assert split.test.classes == ("<=50K", ">50K")


def test_categories_are_those_of_the_data_description(data_dir):
    names = (data_dir / "adult" / "adult.names").read_text()
    for column, words in adult._CATEGORIES.items():
        line = next(line for line in names.splitlines() if line.startswith(f"{column}:"))
        listed = line.partition(":")[2].strip().removesuffix(".").split(", ")
        assert [word for word in words if word != "?"] == listed


def test_original_files(data_dir):
    split = load_dataset("adult:adult", folder=data_dir, column="sex")
    assert (len(split.train), len(split.test)) == (32_561, 16_281)
    assert np.bincount(split.train.labels).tolist() == [24_720, 7_841]
    assert split.train.groups is not None
    assert set(split.train.groups) == {"Female", "Male"}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (ROW.replace("Bachelors", "Bachelor"), "adult.data:2: column 'education': 'Bachelor' is none of"),
        (ROW.replace("39", "39.5"), "adult.data:2: column 'age': '39.5' is no whole number"),
        (ROW.replace("77516", "²"), "adult.data:2: column 'fnlwgt': '²'"),
        (ROW + ", 7", "adult.data:2: 16 cells, expected 15"),
        (ROW.replace("<=50K", "50K"), "adult.data:2: column 'label': '50K'"),
        (ROW.replace("White", "?"), "adult.data:2: column 'race': '?'"),
    ],
)
def test_errors_name_file_line_and_column(folder, wrong, where):
    (folder / "adult.data").write_text(f"{ROW}\n{wrong}\n")
    with pytest.raises(DataError) as caught:
        load_dataset(f"adult:{folder}")
    assert where in str(caught.value)


def test_missing_file_empty_file_and_unknown_column(folder):
    with pytest.raises(DataError, match="adult has no column 'gender'"):
        load_dataset(f"adult:{folder}", column="gender")
    (folder / "adult.data").write_text("|nothing\n")
    with pytest.raises(DataError, match="holds no rows"):
        load_dataset(f"adult:{folder}")
    (folder / "adult.data").unlink()
    with pytest.raises(DataError, match=r"no file adult\.data here"):
        load_dataset(f"adult:{folder}")
    with pytest.raises(DataError, match="needs the folder"):
        load_dataset("adult")
