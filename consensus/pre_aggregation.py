"""What is done to vectors before a rule: each is replaced by an average of several, given as rows (k', k)."""

from __future__ import annotations

import numpy as np

from consensus.company import Company, Matrix
from consensus.errors import PlanError


def nearest_neighbour_mixing(company: Company) -> Matrix:
    """Each vector becomes the mean of its k − f nearest, itself included.

    NNM: Allouah et al., "Fixing by mixing" (2023), section 4. What is left of heterogeneity no longer hides liars.
    """
    k, f = company.size, company.byzantine
    if k < 2 * f + 1:
        raise PlanError(f"cannot tolerate 2f >= n: f={f}, n={k}")
    nearest = np.argsort(company.squared, axis=1, kind="stable")[:, : k - f]
    rows = np.zeros((k, k))
    np.put_along_axis(rows, nearest, 1 / (k - f), axis=1)
    return rows


def bucketing(company: Company) -> Matrix:
    """The means of ⌈k/2⌉ pairs: Karimireddy, He & Jaggi, "Byzantine-robust learning on heterogeneous datasets via
    bucketing" (2022), with s = 2. At most f buckets hold a liar.

    The paper draws the pairs at random. All who see the same vectors must form the same pairs here, without a coin that
    a liar could know beforehand: vectors are paired along the direction in which they differ most, far ones together.
    """
    k, f = company.size, company.byzantine
    buckets = -(-k // 2)
    if buckets < 2 * f + 1:
        raise PlanError(f"bucketing by two needs n/2 > 2f: f={f}, n={k}")
    _, directions = np.linalg.eigh(company.gram)
    axis = directions[:, -1]
    order = np.argsort(axis * np.sign(axis[np.abs(axis).argmax()]), kind="stable")
    rows = np.zeros((buckets, k))
    for bucket in range(buckets):
        members = {int(order[bucket]), int(order[k - 1 - bucket])}
        rows[bucket, list(members)] = 1 / len(members)
    return rows
