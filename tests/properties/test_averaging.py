"""What averaging promises, for any graph, weights and vectors."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from consensus.committee import plan
from consensus.mixing import compose, metropolis_hastings, rounds_to_consensus, spectral_gap
from consensus.rules import mean

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 12))
    pairs = list(itertools.combinations(range(n), 2))
    return n, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


def parts(n, edges):
    label = list(range(n))
    for _ in range(n):
        for i, j in edges:
            label[i] = label[j] = min(label[i], label[j])
    return len(set(label))


@given(graphs())
def test_metropolis_hastings_keeps_the_average_and_never_spreads(graph):
    n, edges = graph
    W = metropolis_hastings(n, edges)
    assert np.allclose(W.sum(axis=0), 1)
    assert np.allclose(W.sum(axis=1), 1)
    assert (W >= 0).all()
    allowed = {(i, i) for i in range(n)} | set(edges) | {(j, i) for i, j in edges}
    assert {(i, j) for i, j in itertools.product(range(n), repeat=2) if W[i, j] > 0} == allowed


@given(graphs())
def test_there_is_a_gap_exactly_where_the_graph_hangs_together(graph):
    n, edges = graph
    W = metropolis_hastings(n, edges)
    gap = spectral_gap(W)
    assert 0.0 <= gap <= 1.0 + 1e-12
    assert (gap > 0) == (parts(n, edges) == 1)
    assert (rounds_to_consensus(W) is not None) == (gap > 0)


@given(graphs(), st.integers(0, 5))
def test_cliques_and_neighbourhoods_come_to_the_average_where_the_graph_hangs_together(graph, round_):
    n, edges = graph
    for kind in ("neighbourhood", "cliques"):
        W = compose(plan(kind, n, edges, seed=0).phases(round_))
        assert np.allclose(W.sum(axis=0), 1)
        assert np.allclose(W.sum(axis=1), 1)
        assert (W >= 0).all()
        if parts(n, edges) > 1:
            assert rounds_to_consensus(W) is None


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.tuples(
            arrays(np.float32, (k, 5), elements=FLOATS), st.lists(st.integers(1, 1000), min_size=k, max_size=k)
        )
    )
)
@settings(max_examples=100)
def test_the_mean_stays_between_the_extremes(case):
    vectors, parts_ = case
    weights = [part / sum(parts_) for part in parts_]
    result = mean(list(vectors), weights)
    assert (result >= vectors.min(axis=0)).all()
    assert (result <= vectors.max(axis=0)).all()
