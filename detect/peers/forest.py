"""An Isolation Forest that learns what peers' updates look like here, as champion and challenger.

Liu, Ting & Zhou, "Isolation forest" (2008). It is trained on what was seen of peers that nothing else spoke against,
and asked about each update. Before the first forest there is no answer ("not trained yet": approve).

A challenger is trained whenever 20 new samples have come in. Champion and challenger are compared on recent samples
that the challenger has not seen, labelled by the other evidence: how many of the accused each finds, less how many of
the others it accuses. The challenger takes over if it is better by a margin, or equal and the champion is much older.
Forests are stored by skops, which builds nothing but what it knows: never by pickle.
"""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import skops.io  # type: ignore[import-untyped]
from sklearn.ensemble import IsolationForest
from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException  # type: ignore[import-untyped]

NEW_SAMPLES: Final = 20
"""New samples that a challenger waits for."""
_MEMORY = 1024
_RECENT = 64
"""Samples that champion and challenger are compared on."""
_MARGIN = 0.05
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_OLD = 8
"""Challengers that a champion outlives before an equal one takes over."""
_SKOPS_ERRORS = (zipfile.BadZipFile, UntrustedTypesFoundException, UnsupportedTypeException)
_TREES = 32
_TREE_SAMPLES = 128
_TRUSTED = ["sklearn.tree._tree.Tree"]
"""Beyond what skops trusts: the nodes of a tree. They are taken as they are, so a stored forest is read from the node's
own state alone."""
_HISTORY = 64
MAX_STORED_BYTES: Final = 16 << 20

Sample = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Promotion:
    """A line of the forest's history."""

    version: int
    """Of the champion after it."""
    samples: int
    """It was trained on."""
    champion_score: float
    """In [−1, 1]: the share of the accused that were found, less the share of the others accused. NaN: no champion."""
    challenger_score: float
    promoted: bool


class ForestError(ValueError):
    """Bytes that are no stored forest, or one of other features."""


class ForestWatch:
    """Samples are rows of `features`, in that order. Seeded: the same samples give the same forest."""

    def __init__(self, features: Sequence[str], seed: int) -> None:
        self.features = tuple(features)
        self.version = 0
        """Of the champion; 0: none yet."""
        self.history: deque[Promotion] = deque(maxlen=_HISTORY)
        self._seed = seed
        self._good: deque[Sample] = deque(maxlen=_MEMORY)
        self._recent: deque[tuple[Sample, bool]] = deque(maxlen=_RECENT)
        self._new = 0
        self._passed_over = 0
        self._champion: IsolationForest | None = None
        self._stored: bytes | None = None
        """The champion as skops writes it, once it was asked for: a checkpoint a round must not cost that each time."""

    @property
    def trained(self) -> bool:
        """Whether there is a champion to ask."""
        return self._champion is not None

    def see(self, sample: Mapping[str, float], *, accused: bool) -> None:
        """One update of one peer, and whether other evidence speaks against it. What is not finite is not learned."""
        row = self._row(sample)
        if row is None:
            return
        if len(self._recent) == self._recent.maxlen:
            old, was_accused = self._recent[0]
            if not was_accused:
                self._good.append(old)
        self._recent.append((row, accused))
        self._new += 1

    def odd(self, samples: Sequence[Mapping[str, float]]) -> list[bool]:
        """Which of them the champion finds out of the ordinary; none while there is none, but what is not finite."""
        rows = [self._row(sample) for sample in samples]
        finite = [row for row in rows if row is not None]
        flags = iter(_flags(self._champion, finite) if self._champion is not None and finite else [False] * len(finite))
        return [True if row is None else bool(next(flags)) for row in rows]

    def learn(self) -> Promotion | None:
        """Train a challenger if it is time, and let it replace the champion if it is better. Takes some 50 ms."""
        if self._new < NEW_SAMPLES or len(self._good) + len(self._recent) < NEW_SAMPLES:
            return None
        self._new = 0
        rows = list(self._good)
        if self._champion is None and len(rows) < NEW_SAMPLES:
            rows += [row for row, accused in self._recent if not accused]
        if len(rows) < NEW_SAMPLES:
            return None
        challenger = IsolationForest(
            n_estimators=_TREES,
            max_samples=min(_TREE_SAMPLES, len(rows)),
            random_state=self._seed + self.version,
            n_jobs=1,
        )
        challenger.fit(np.array(rows))
        mine = np.nan if self._champion is None else self._score(self._champion)
        theirs = self._score(challenger)
        stale = self._passed_over + 1 >= _OLD and theirs >= mine
        promoted = self._champion is None or theirs > mine + _MARGIN or stale
        if promoted:
            self._champion, self.version, self._passed_over = challenger, self.version + 1, 0
            self._stored = None
        else:
            self._passed_over += 1
        line = Promotion(self.version, len(rows), float(mine), float(theirs), promoted)
        self.history.append(line)
        return line

    def _score(self, forest: IsolationForest) -> float:
        flags = _flags(forest, [row for row, _ in self._recent])
        labels = np.array([accused for _, accused in self._recent], dtype=np.bool_)
        found = float(flags[labels].mean()) if labels.any() else 0.0
        false = float(flags[~labels].mean()) if not labels.all() else 0.0
        return found - false

    def _row(self, sample: Mapping[str, float]) -> Sample | None:
        row = tuple(float(sample[name]) for name in self.features)
        return row if np.abs(row).max(initial=0.0) < _FLOAT32_MAX else None  # NaN is not below

    # --- a restart ------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All of it, in plain values and bytes."""
        return {
            "features": list(self.features),
            "version": self.version,
            "new": self._new,
            "passed_over": self._passed_over,
            "good": [list(row) for row in self._good],
            "recent": [[*row, accused] for row, accused in self._recent],
            "history": [
                [line.version, line.samples, line.champion_score, line.challenger_score, line.promoted]
                for line in self.history
            ],
            "champion": self._dumped(),
        }

    def _dumped(self) -> bytes | None:
        if self._stored is None and self._champion is not None:
            self._stored = skops.io.dumps(self._champion)
        return self._stored

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from `snapshot`. Raises `ForestError`, and changes nothing, where it is not one of these features."""
        try:
            if tuple(snapshot["features"]) != self.features:
                raise ForestError(f"a forest of the features {snapshot['features']}, expected {self.features}")
            version, new, passed_over = (int(snapshot[key]) for key in ("version", "new", "passed_over"))
            good = [_numbers(row, len(self.features)) for row in snapshot["good"]]
            recent = [(_numbers(row[:-1], len(self.features)), bool(row[-1])) for row in snapshot["recent"]]
            history = [
                Promotion(int(at), int(samples), float(mine), float(theirs), bool(promoted))
                for at, samples, mine, theirs, promoted in snapshot["history"]
            ]
            champion = _stored(snapshot["champion"], len(self.features))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ForestError(f"the stored forest cannot be read: {error}") from error
        self.version, self._new, self._passed_over, self._champion = version, new, passed_over, champion
        self._stored = None
        self._good = deque(good, maxlen=_MEMORY)
        self._recent = deque(recent, maxlen=_RECENT)
        self.history = deque(history, maxlen=_HISTORY)


def _flags(forest: IsolationForest, rows: Sequence[Sample]) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = forest.predict(np.array(rows)) < 0
    return flags


def _numbers(row: Sequence[object], count: int) -> Sample:
    numbers = tuple(float(value) for value in row)  # type: ignore[arg-type] # what is no number raises
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ForestError(f"a sample of {len(numbers)} numbers, expected {count} finite ones")
    return numbers


def _stored(data: object, features: int) -> IsolationForest | None:
    if data is None:
        return None
    if not isinstance(data, bytes) or len(data) > MAX_STORED_BYTES:
        raise ForestError("a stored forest is bytes, 16 MiB at most")
    try:
        forest = skops.io.loads(data, trusted=_TRUSTED)
    except (*_SKOPS_ERRORS, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise ForestError(f"skops does not take it: {error!r}"[:200]) from error
    if not isinstance(forest, IsolationForest) or getattr(forest, "n_features_in_", None) != features:
        raise ForestError(f"not an Isolation Forest of {features} features")
    return forest
