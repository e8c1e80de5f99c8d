"""Every rule once more, written down as its paper does it: on the vectors themselves, with loops, in float64."""

import math

import numpy as np


def distance(a, b):
    return math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True)))


def average(vectors, weights):
    total = [0.0] * len(vectors[0])
    for vector, weight in zip(vectors, weights, strict=True):
        total = [t + weight * float(x) for t, x in zip(total, vector, strict=True)]
    scale = sum(weights)
    return np.array([t / scale for t in total])


def krum_scores(vectors, f):
    scores = []
    for i, mine in enumerate(vectors):
        others = sorted(distance(mine, other) ** 2 for j, other in enumerate(vectors) if j != i)
        scores.append(sum(others[: len(vectors) - f - 2]))
    return scores


def krum(vectors, weights, f, own):
    scores = krum_scores(vectors, f)
    return np.array(vectors[scores.index(min(scores))], dtype=float)


def multi_krum(vectors, weights, f, own):
    scores = krum_scores(vectors, f)
    best = sorted(range(len(vectors)), key=lambda i: scores[i])[: len(vectors) - f]
    return average([vectors[i] for i in best], [1] * len(best))


def faba(vectors, weights, f, own):
    kept = list(range(len(vectors)))
    for _ in range(f):
        centre = average([vectors[i] for i in kept], [1] * len(kept))
        kept.remove(max(kept, key=lambda i: distance(vectors[i], centre)))
    return average([vectors[i] for i in kept], [1] * len(kept))


def ios(vectors, weights, f, own):
    kept = list(range(len(vectors)))
    for _ in range(f):
        centre = average([vectors[i] for i in kept], [weights[i] for i in kept])
        kept.remove(max((i for i in kept if i != own), key=lambda i: distance(vectors[i], centre)))
    return average([vectors[i] for i in kept], [weights[i] for i in kept])


def geometric_median(vectors, weights, f, own):
    """Weiszfeld's steps, a great many."""
    points = np.array(vectors, dtype=float)
    at = np.average(points, axis=0, weights=weights)
    for _ in range(3000):
        pulls = np.array(weights) / np.maximum(np.linalg.norm(points - at, axis=1), 1e-9)
        at = pulls @ points / pulls.sum()
    return at


def fading_mean(vectors, weights, f, own):
    centre = geometric_median(vectors, weights, f, own)
    distances = [distance(v, centre) for v in vectors]
    usual = sorted(distances)[len(vectors) - f - 1]
    others = sorted((i for i in range(len(vectors)) if i != own), key=lambda i: -distances[i])
    faded = list(weights)
    for i in others[:f]:
        faded[i] *= min(1.0, max(0.0, 4 - 2 * distances[i] / usual))
    return average(vectors, faded)


def clip(vector, length):
    norm = math.sqrt(sum(float(x) ** 2 for x in vector))
    return vector if norm <= length else vector * (length / norm)


def centred_clipping(vectors, weights, f, own):
    at = np.array(vectors[own], dtype=float)
    for _ in range(3):
        tau = sorted(distance(v, at) for v in vectors)[len(vectors) - f - 1]
        at = at + sum(w * clip(np.array(v, float) - at, tau) for v, w in zip(vectors, weights, strict=True))
    return at


def self_centred(vectors, weights, own, tau):
    mine = np.array(vectors[own], dtype=float)
    return mine + sum(w * clip(np.array(v, float) - mine, tau) for v, w in zip(vectors, weights, strict=True))


def self_centred_clipping(vectors, weights, f, own):
    others = sorted((i for i in range(len(vectors)) if i != own), key=lambda i: distance(vectors[i], vectors[own]))
    near, far = others[: len(others) - f], others[len(others) - f :]
    if not far:
        return average(vectors, weights)
    total = sum(weights[i] * distance(vectors[i], vectors[own]) ** 2 for i in near)
    return self_centred(vectors, weights, own, math.sqrt(total / sum(weights[i] for i in far)))


def clipped_sum(vectors, weights, f, own):
    """Equal weights: the 2f furthest others are drawn in to the distance of the nearest of them."""
    others = sorted(distance(v, vectors[own]) for i, v in enumerate(vectors) if i != own)
    if f == 0:
        return average(vectors, weights)
    return self_centred(vectors, weights, own, others[-2 * f] if 2 * f <= len(others) else 0.0)


def median(vectors, weights, f, own):
    return np.array([float(np.median([float(v[c]) for v in vectors])) for c in range(len(vectors[0]))])


def trimmed_mean(vectors, weights, f, own):
    columns = [sorted(float(v[c]) for v in vectors)[f : len(vectors) - f] for c in range(len(vectors[0]))]
    return np.array([sum(column) / len(column) for column in columns])


def nearest_neighbour_mixing(vectors, f):
    mixed = []
    for mine in vectors:
        nearest = sorted(vectors, key=lambda other: distance(mine, other))[: len(vectors) - f]
        mixed.append(average(nearest, [1] * len(nearest)))
    return mixed


ORACLES = {
    "krum": krum,
    "multi-krum": multi_krum,
    "faba": faba,
    "ios": ios,
    "geometric-median": geometric_median,
    "fading-mean": fading_mean,
    "centred-clipping": centred_clipping,
    "self-centred-clipping": self_centred_clipping,
    "clipped-sum": clipped_sum,
    "median": median,
    "trimmed-mean": trimmed_mean,
}
