"""SCREEN: a private round whose sum is weighted by what noised distances say of the updates, which nobody sees.

Once the accepted set is decided, members open noised squared distances between the accepted updates
(`crypto.distances`), agree on the shares that they are decoded from, and so all come to one set of weights: small
integers, by a rule that needs distances alone. Then one sum is opened, of weight times update, as without a screen: the
weights are a function of decisions that are unique, and part of what every statement of the opening is about.

No rule singles a member out: no weight is larger than one in h + t of the whole, so that a sum is of at least h + t
members.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np

from consensus.company import Company, Row
from consensus.errors import PlanError
from consensus.rules import DistanceAverage, least_members, lookup
from crypto.field import Signed

WHOLE: Final = 240
"""What weights add up to, about: a multiple of most numbers of members that there are. A sum of updates of 1.7 C with
these weights is 240 · 1.7 C, far from wrapping.
"""
DEFAULT_RULE: Final = "nnm+geometric-median"
_UNIT: Final = 2**40
"""Of the weights of a rule (`company.tidied`)."""


@dataclass(frozen=True, slots=True)
class Screen:
    """How the members of a cell are weighed. Raises PlanError for a rule that distances are not enough for."""

    rule: str = DEFAULT_RULE
    byzantine: int = 2
    """f: members of a cell that the rule is to bear; of fewer that are accepted, as many as it can."""
    noise: float = 0.1
    """ν: deviation of the noise on a squared distance, in C². Honest updates are 0.9 C long at most, so that two are
    3.24 C² apart at most. Without differential privacy this is what a round keeps back about a member: a change of its
    update by x C is seen with a signal of μ ≈ (34 x + 0.1) / ν deviations at worst, over all m − 1 = 7 distances
    (`crypto.distances`): at 0.1, one of 0.3 % of C with μ = 2. It adds up over rounds, as μ √rounds. And a liar that is
    accepted chooses its part of the noise, and brings a distance up or down by 3 ν / √h C² at most.
    """

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise) and self.noise > 0):
            raise PlanError(f"a screen opens distances with noise only: noise > 0 is needed, got {self.noise}")
        lookup(self.rule, self.byzantine)
        if not by_distances(self.rule):
            raise PlanError(
                f"a screen sees distances and nothing else, and has no vector of its own: {self.rule!r} needs more; "
                "use nnm+geometric-median"
            )

    def require_room(self, least: int) -> None:
        """Raise PlanError unless the rule bears f among the members that are there: who is refused is Byzantine."""
        if least_members(self.rule, self.byzantine) > least:
            raise PlanError(
                f"{self.rule} with f={self.byzantine} needs {least_members(self.rule, self.byzantine)} updates, "
                f"and m - f = {least} members may be there: use a larger cell or a smaller byzantine"
            )

    def weights(self, accepted: Sequence[int], squared: Signed, least: int) -> dict[int, int]:
        """The weight of each accepted member, ≥ 0, from the noised distances (pairs,) in order of pairs of members; at
        least `least` of them are positive.
        """
        count = len(accepted)
        matrix = np.zeros((count, count))
        for value, (i, j) in zip(squared.tolist(), combinations(range(count), 2), strict=True):
            matrix[i, j] = matrix[j, i] = max(0, value)
        byzantine = next((f for f in range(self.byzantine, 0, -1) if least_members(self.rule, f) <= count), 0)
        rule = lookup(self.rule, byzantine)
        if not isinstance(rule, DistanceAverage):
            raise PlanError(f"{self.rule!r} needs more than distances")
        weights = rule.weights(Company(matrix, np.full(count, 1 / count), byzantine))
        return dict(zip(accepted, whole_weights(weights, least), strict=True))


def by_distances(rule: str) -> bool:
    """Whether the rule of that name needs distances alone, and no vector of its own."""
    return isinstance(lookup(rule), DistanceAverage) and not rule.endswith(("self-centred-clipping", "clipped-sum"))


def whole_weights(weights: Row, least: int) -> list[int]:
    """Weights (k,) as whole numbers of sum least · ⌊WHOLE / least⌋, none above one in `least` ≤ k of that.

    What is above goes to the others in proportion, or evenly where they have none. Roundings go to the largest
    remainders, then to the first places. Exact arithmetic: the same on every machine that has the same `weights`.
    """
    most = max(1, WHOLE // least)
    shares = {place: Fraction(round(float(weight) * _UNIT)) for place, weight in enumerate(weights)}
    levels: dict[int, Fraction] = {}
    left = Fraction(least * most)
    while shares:
        mass = sum(shares.values())
        evenly = left / len(shares)
        found = {place: left * share / mass if mass else evenly for place, share in shares.items()}
        over = [place for place, level in found.items() if level > most]
        if not over:
            levels |= found
            break
        for place in over:
            levels[place] = Fraction(most)
            left -= most
            del shares[place]
    whole = {place: math.floor(level) for place, level in levels.items()}
    missing = least * most - sum(whole.values())
    order: list[int] = sorted(levels, key=lambda place: (whole[place] - levels[place], place))
    for place in order[:missing]:
        whole[place] += 1
    return [whole[place] for place in range(len(weights))]
