import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import randomness
from crypto.field import PRIME
from crypto.randomness import DiscreteGaussian, RandomnessError, Stream

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "randomness.json").read_text())
SEED = bytes(range(32))


@pytest.mark.parametrize("case", VECTORS["streams"], ids=lambda case: case["label"])
def test_streams_are_what_an_independent_implementation_computes(case):
    stream = Stream(bytes.fromhex(case["seed"]), case["label"])
    assert stream.take_bytes(48).hex() == case["keystream"]
    fresh = Stream(bytes.fromhex(case["seed"]), case["label"])
    assert fresh.elements(12).tolist() == case["elements"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=12))
def test_the_sizes_of_the_reads_do_not_change_a_stream(sizes):
    whole = Stream(SEED, "a").elements(sum(sizes)).tolist()
    parts = Stream(SEED, "a")
    assert [x for size in sizes for x in parts.elements(size).tolist()] == whole


def test_labels_and_seeds_separate_streams():
    streams = [Stream(SEED, "a"), Stream(SEED, "b"), Stream(bytes(32), "a")]
    assert len({stream.take_bytes(32) for stream in streams}) == 3


class Scripted(Stream):
    """A stream of given words, to make rare events happen."""

    def __init__(self, words):
        super().__init__(SEED, "scripted")
        self._words = np.array(words, dtype="<u4").view(np.uint8)
        self._at = 0

    def _next(self, size):
        self._at += size
        assert self._at <= self._words.size, "read too far"
        return self._words[self._at - size : self._at]


def test_the_prime_itself_is_dropped_wherever_it_falls():
    words = [5, PRIME, PRIME | 1 << 31, 7, 1 << 31, PRIME, PRIME, 8, 9]
    stream = Scripted(words)
    assert stream.elements(3).tolist() == [5, 7, 0]  # bit 31 is not looked at
    assert stream.elements(2).tolist() == [8, 9]


def test_elements_are_canonical_and_even():
    values = Stream(SEED, "even").elements(1 << 18)
    assert values.max() < PRIME
    counts = np.histogram(values, bins=64, range=(0, PRIME))[0]
    assert ((counts - 4096) ** 2 / 4096).sum() < 63 + 6 * math.sqrt(126)  # chi-squared, six deviations


def test_the_shape_asked_for_is_the_shape_given():
    assert Stream(SEED, "a").elements(3, 4).shape == (3, 4)
    assert Stream(SEED, "a").elements(0).shape == (0,)


def test_words_use_all_32_bits():
    assert Stream(SEED, "a").words(4096).max() > 1 << 31


def test_a_stream_ends_before_its_counter_could_tell(monkeypatch):
    monkeypatch.setattr(randomness, "MAX_STREAM_BYTES", 100)
    stream = Stream(SEED, "a")
    stream.take_bytes(100)
    with pytest.raises(RandomnessError, match="new label"):
        stream.take_bytes(1)


def test_a_short_seed_is_refused_and_no_key_is_shown():
    with pytest.raises(RandomnessError, match="32 bytes"):
        Stream(b"short", "a")
    assert repr(Stream(SEED, "a")) == "Stream(read=0)"


def exact_table(sigma, reach):
    weights = [math.exp(-(k**2) / (2 * sigma**2)) for k in range(-reach, reach + 1)]
    return np.array(weights) / math.fsum(weights)


@pytest.mark.parametrize("sigma", [0.25, 0.8, 3.7, 40.0])
def test_noise_has_the_law_of_the_discrete_gaussian(sigma):
    gaussian = DiscreteGaussian(sigma)
    table = np.array([float(Fraction(entry, 2**192)) for entry in gaussian._table])
    assert np.abs(table - np.cumsum(exact_table(sigma, gaussian.reach))[:-1]).max() < 1e-13
    samples = gaussian.sample(Stream(SEED, "noise"), 200_000)
    law = exact_table(sigma, gaussian.reach)
    expected = law * samples.size
    counts = np.bincount(samples + gaussian.reach, minlength=law.size)
    common = expected > 20
    statistic = ((counts - expected)[common] ** 2 / expected[common]).sum()
    assert statistic < common.sum() + 6 * math.sqrt(2 * common.sum())
    assert abs(samples.mean()) < 6 * sigma / math.sqrt(samples.size)


def test_the_weights_of_noise_are_right_to_the_last_bit_that_counts():
    """Against rational arithmetic: exp by its series with a thousand digits of head room."""
    sigma, one = 2.5, 1 << 192
    weights = randomness._weights(sigma, 30, one)
    for k in (0, 1, 2, 17, 30):
        x, term, total = Fraction(k * k * 2, 25), Fraction(1), Fraction(0)  # k^2 / (2 * 6.25)
        for n in range(1, 700):
            total += term
            term = -term * x / n
            if abs(term) < Fraction(1, 2**260):
                break
        assert abs(weights[k] - total * one) < 2**10


def test_noise_is_symmetric_in_its_table():
    gaussian = DiscreteGaussian(1.5)
    table = [0, *gaussian._table, 1 << 192]
    masses = np.diff(np.array(table, dtype=object))
    assert max(abs(a - b) for a, b in zip(masses, masses[::-1], strict=True)) < 1 << 60


def test_a_tie_with_the_table_is_decided_by_further_bits():
    gaussian = DiscreteGaussian(1.0)
    entry = gaussian._table[gaussian.reach - 1]  # P(X < 0)
    lead, rest = entry >> 128, (entry & ((1 << 128) - 1)).to_bytes(16, "big")
    for offset, expected in ((-1, -1), (0, 0), (1, 0)):
        tail = (int.from_bytes(rest, "big") + offset).to_bytes(16, "big")
        script = np.frombuffer(lead.to_bytes(8, "little") + tail, dtype="<u4")
        assert gaussian.sample(Scripted(script), 1).tolist() == [expected]


@pytest.mark.parametrize("sigma", [0.0, 0.1, 5000.0, math.inf, math.nan])
def test_deviations_outside_the_table_are_refused(sigma):
    with pytest.raises(RandomnessError, match="scale"):
        DiscreteGaussian(sigma)
