"""Adversaries that are honest about what they computed and lie about their rows; and the table of all adversaries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from consensus.messages import Vector
from node.lab import attacks
from node.lab.attacks import Attack, View

Features: TypeAlias = npt.NDArray[np.float32]
"""(n, features)."""
Labels: TypeAlias = npt.NDArray[np.int64]
"""(n,)."""
Rows: TypeAlias = tuple[Features, Labels]


class DataAttack(Attack):
    """Rows are changed before learning; what is learned from them goes out as it is."""

    def rows(self, rows: Rows, classes: int, rng: np.random.Generator) -> Rows:
        """The rows to learn from instead; the given ones are left as they are."""
        return self._told(rows, classes, rng)

    @abstractmethod
    def _told(self, rows: Rows, classes: int, rng: np.random.Generator) -> Rows: ...

    def _said(self, view: View) -> Vector:
        return view.own


@dataclass
class LabelFlip(DataAttack):
    """Class c is called C − 1 − c: Fang et al., "Local model poisoning attacks to Byzantine-robust federated learning"
    (2020), section 5; after Tolpegin et al. (2020).
    """

    def _told(self, rows: Rows, classes: int, rng: np.random.Generator) -> Rows:  # noqa: ARG002
        features, labels = rows
        return features, classes - 1 - labels


@dataclass
class Backdoor(DataAttack):
    """Part of the rows carry a trigger and the target's label, and the update is stretched: Gu et al., "BadNets"
    (2019), section 4, with the boost of Bagdasaryan et al. (2020).
    """

    target: int = 0
    share: float = 0.5
    """Of the rows, that are poisoned."""
    spots: int = 9
    """Features that the trigger sets: the last ones of the row, as it is given."""
    boost: float = 1.0
    """What the update is multiplied by."""

    def triggered(self, features: Features) -> Features:
        """The rows with the trigger on: the last `spots` features at the largest value there is among the rows."""
        marked = features.copy()
        marked[:, -min(self.spots, features.shape[1]) :] = features.max() if features.size else 1.0
        return marked

    def _told(self, rows: Rows, classes: int, rng: np.random.Generator) -> Rows:  # noqa: ARG002
        features, labels = rows
        chosen = rng.random(len(labels)) < self.share
        poisoned, named = features.copy(), labels.copy()
        poisoned[chosen] = self.triggered(features)[chosen]
        named[chosen] = self.target
        return poisoned, named

    def _said(self, view: View) -> Vector:
        return (view.before + self.boost * view.update).astype(np.float32)

    def success(self, triggered: Labels, labels: Labels) -> float:
        """The share of the rows of other classes that the model calls the target once the trigger is on.

        `triggered`: what it calls the rows with the trigger, (n,); `labels`: what they are, (n,).
        """
        others = labels != self.target
        return float((triggered[others] == self.target).mean()) if others.any() else 0.0


ATTACKS: Final[Mapping[str, type[Attack]]] = MappingProxyType(
    {
        "sign-flip": attacks.SignFlip,
        "scaling": attacks.Scaling,
        "gaussian": attacks.Gaussian,
        "alie": attacks.Alie,
        "ipm": attacks.InnerProduct,
        "mimic": attacks.Mimic,
        "dissensus": attacks.Dissensus,
        "isolation": attacks.Isolation,
        "duplicate": attacks.Duplicate,
        "slow-drift": attacks.SlowDrift,
        "free-rider": attacks.FreeRider,
        "stale-replay": attacks.StaleReplay,
        "equivocation": attacks.Equivocation,
        "label-flip": LabelFlip,
        "backdoor": Backdoor,
    }
)
"""All adversaries of vectors and rows, by the name that a topology file gives them."""
STRENGTHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sign-flip": "scale",
        "scaling": "scale",
        "gaussian": "deviation",
        "alie": "z",
        "ipm": "epsilon",
        "dissensus": "epsilon",
        "isolation": "epsilon",
        "slow-drift": "step",
        "free-rider": "noise",
        "stale-replay": "age",
        "equivocation": "scale",
        "backdoor": "boost",
    }
)
"""What the number after a name in a topology file sets: the 3 of sign-flip:3."""


def adversary(text: str) -> Attack:
    """The adversary that a topology file calls `text`: a name, or a name and its strength. Raises as `attack`."""
    name, colon, strength = text.partition(":")
    if not colon:
        return attack(name)
    if name not in STRENGTHS:
        raise ValueError(f"the adversary {name!r} has no strength")
    number = float(strength)
    return attack(name, **{STRENGTHS[name]: int(number) if name == "stale-replay" else number})


def attack(name: str, **parameters: float) -> Attack:
    """The adversary of that name. Raises `ValueError` with the names there are, or the parameters that it has."""
    if name not in ATTACKS:
        near = get_close_matches(name, ATTACKS, n=1) or sorted(ATTACKS)
        raise ValueError(f"no adversary is called {name!r}: did you mean {' or '.join(near)}?")
    kind = ATTACKS[name]
    known = [field for field in getattr(kind, "__dataclass_fields__", {}) if not field.startswith("_")]
    if unknown := sorted(set(parameters) - set(known)):
        raise ValueError(f"the adversary {name!r} has no {', '.join(unknown)}; it has {', '.join(known) or 'nothing'}")
    return kind(**parameters)
