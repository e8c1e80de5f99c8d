import hashlib

from consensus.draw import permutation


def test_a_permutation_is_fisher_yates_on_sha256():
    """An independent, slow spelling: peers written by others must draw the same places."""
    label, n = "grid/7/3", 13
    stream = b"".join(hashlib.sha256(f"grapevine/{label}/{block}".encode()).digest() for block in range(20))
    words = iter(int.from_bytes(stream[i : i + 8], "big") for i in range(0, len(stream), 8))
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        chosen = next(words) % (last + 1)  # a rejected draw, odds 1e-18, does not occur here
        order[last], order[chosen] = order[chosen], order[last]
    assert permutation(n, label) == order
    assert sorted(order) == list(range(n))


def test_permutations_are_uniform():
    counts = {}
    for label in range(6000):
        drawn = tuple(permutation(3, str(label)))
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5  # χ², 5 degrees of freedom, p = 0.001
