"""Canaries by the thousand in one step: records with gradients at right angles, each in the data by a coin of its own.

Record k is `REACH` · e_k, and the model is a linear one of two classes whose parameters are 0. Its gradient is longer
than any clip and lies in column k of the weights: after clipping it is c along g_k, for all records alike. As noise is
drawn for each coordinate by itself, coordinate k plays its own distinguishing game, whatever the others do: one step of
the real code plays thousands (Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", 2023).

The attacker knows all records but the one in question, the model, and all that colluders hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from node.learning.dataset import Dataset
from node.learning.models import build
from node.learning.trainer import Rows
from node.learning.vector import FlatModel
from tests.audit.statistics import Scores

REACH = 1000.0
"""Share of a canary's gradient that the biases take is 1 / REACH."""
CLASSES = ("no", "yes")
Coins = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Canaries:
    """`count` canaries, dealt to `nodes`; `coins` (count,) says which are in the data."""

    nodes: tuple[int, ...]
    coins: Coins

    @classmethod
    def toss(cls, nodes: tuple[int, ...], count: int, seed: int) -> Canaries:
        """Fair coins."""
        return cls(nodes, np.random.default_rng([seed, 0xCA7]).random(count) < 0.5)

    @property
    def count(self) -> int:
        """K, features of the data."""
        return self.coins.size

    @property
    def size(self) -> int:
        """d."""
        return 2 * self.count + 2

    @property
    def rows(self) -> float:
        """The public number of rows a node."""
        return self.count / len(self.nodes)

    def model(self) -> FlatModel:
        """All zeros."""
        model = FlatModel(build("linear", self.count, len(CLASSES), (), 0))
        model.load(np.zeros(model.size, np.float32))
        return model

    def data(self, node: int) -> Rows:
        """The rows of a node: its canaries that are in. A node without any has one harmless row, of no length."""
        edges = list(pairwise(self.count * i // len(self.nodes) for i in range(len(self.nodes) + 1)))
        chosen: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        if node in self.nodes:
            first, end = edges[self.nodes.index(node)]
            chosen = first + np.flatnonzero(self.coins[first:end])
        features = np.zeros((max(1, chosen.size), self.count), np.float32)
        features[np.arange(chosen.size), chosen] = REACH
        names = tuple(f"f{k}" for k in range(self.count))
        labels = np.zeros(len(features), np.int64)
        return Rows(Dataset(features, labels, classes=CLASSES, feature_names=names))

    def direction(self, k: int) -> npt.NDArray[np.float32]:
        """−g_k (d,): where a step goes that canary k is in, of length 1."""
        step = np.zeros(self.size, np.float32)
        step[k], step[self.count + k] = np.sqrt(0.5), -np.sqrt(0.5)
        return step

    def scores(self, step: npt.NDArray[np.floating]) -> Scores:
        """⟨step, −g_k⟩ for each canary, from a step (d,) in units of one canary's: its coin, and noise."""
        weights = step[: 2 * self.count].astype(np.float64).reshape(2, self.count)
        scores: Scores = (weights[0] - weights[1]) * np.sqrt(0.5)
        return scores

    def split(self, scores: Scores) -> tuple[Scores, Scores]:
        """Of canaries that are in, and of those that are not."""
        return scores[self.coins], scores[~self.coins]
