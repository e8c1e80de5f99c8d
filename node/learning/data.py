"""From a data set's specification to its rows. No torch: a program that only prepares data starts fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from node.learning.dataset import Dataset, Shard, Split, deal, load_saved, save_dataset, split_holdout
from node.learning.errors import DataError
from node.learning.loaders import adult, digits, mnist, table
from node.learning.loaders.source import Request

__all__ = [
    "LOADERS",
    "Dataset",
    "Shard",
    "Split",
    "deal",
    "load_dataset",
    "load_saved",
    "save_dataset",
    "split_holdout",
]

LOADERS: dict[str, Callable[[Request], Split]] = {
    "digits": digits.load,
    "adult": adult.load,
    "mnist": mnist.load,
    "csv": table.load,
}
"""What stands before the colon of a specification, and who reads it."""


def load_dataset(
    spec: str,
    *,
    label: str | None = None,
    column: str | None = None,
    classes: Sequence[str] | None = None,
    folder: Path | None = None,
) -> Split:
    """Read `spec`: `digits`, `adult:DIR`, `mnist:DIR` or `csv:FILE`; a relative path starts at `folder`.

    `label` names the label column of a csv file ("label" if not given); `column` the column whose values deal rows to
    nodes; `classes` fixes the class names where a node's own rows may lack one. The test rows are the same in every
    run: the official file, or 20 % of each class. Raises `DataError`, which names file, line and column.
    """
    name, colon, where = spec.partition(":")
    if name not in LOADERS:
        near = get_close_matches(name, LOADERS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(LOADERS)}."
        raise DataError(f"no loader {name!r} for the data set {spec!r}", hint)
    if colon and not where:
        raise DataError(f"the data set {spec!r} has no path behind its colon", f"Write {name}:PATH, or the name alone.")
    if classes is not None and (len(set(classes)) != len(classes) or len(classes) < 2):
        raise DataError(f"classes = {list(classes)}", "Give at least two distinct names.")
    try:
        path = (folder or Path()) / Path(where).expanduser() if where else None
    except RuntimeError as error:  # ~ of somebody unknown, or of a service without a home
        raise DataError(f"the data set {spec!r}: there is no such home folder", "Write the path out.") from error
    fixed = None if classes is None else tuple(sorted(classes))
    split = LOADERS[name](Request(path=path, label=label, column=column, classes=fixed))
    if fixed is not None and split.train.classes != fixed:
        there = ", ".join(split.train.classes)
        raise DataError(f"{spec} has not the classes {', '.join(fixed)}", f"Its own are {there}; leave `classes` out.")
    return split
