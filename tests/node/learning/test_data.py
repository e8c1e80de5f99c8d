from __future__ import annotations

import pytest

from node.learning.data import load_dataset
from node.learning.errors import DataError
from node.learning.loaders.source import Request


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "no loader 'digit' .*\nDid you mean 'digits'"),
        ("zebra:x", "no loader 'zebra' .*\nKnown are digits, adult, mnist, csv"),
        ("csv:", "no path behind its colon"),
        ("csv", "csv needs a file"),
        ("csv:~nobody-of-that-name/x.csv", "no such home folder"),
    ],
)
def test_specifications_that_cannot_be(spec, message):
    with pytest.raises(DataError, match=message):
        load_dataset(spec)


def test_classes_must_be_names_that_the_source_has():
    assert load_dataset("digits", classes=list("9876543210")).train.classes == tuple("0123456789")
    with pytest.raises(DataError, match="has not the classes a, b"):
        load_dataset("digits", classes=["b", "a"])
    with pytest.raises(DataError, match="at least two distinct"):
        load_dataset("digits", classes=["a", "a"])


def test_a_relative_path_starts_at_the_folder(tmp_path):
    (tmp_path / "t.csv").write_text("a,label\n" + "1,x\n2,y\n" * 5)
    assert len(load_dataset("csv:t.csv", folder=tmp_path).train) == 8
    assert len(load_dataset(f"csv:{tmp_path}/t.csv", folder=tmp_path / "elsewhere").train) == 8


def test_a_folder_that_lacks_the_file_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path}: no file b here"):
        Request(path=tmp_path).file("b")
