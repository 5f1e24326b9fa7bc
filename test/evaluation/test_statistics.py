"""Intervals against published worked examples, their own properties, and how often they hold what they should."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prana_ros.evaluation.statistics import LEVEL, mean_ratio, paired_difference, success_rate

CELLS = st.tuples(*[st.integers(0, 60)] * 4).filter(any)
RATIOS = st.lists(st.tuples(*[st.floats(0.01, 100.0)] * 2), min_size=2, max_size=20)


def outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Successes of two policies that fill a fourfold table."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


def test_wilson_as_published():
    """Newcombe, Statistics in Medicine 17, 857-872 (1998), table I, method 3: four proportions."""
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, episodes), limits in published.items():
        rate = success_rate(successes, episodes)
        assert (rate.low, rate.high) == pytest.approx(limits, abs=5e-5)


@pytest.mark.parametrize(
    ("cells", "limits"),
    [
        ((1, 1, 7, 12), (-0.507, -0.026)),  # airway hyper-responsiveness, Fagerland et al. (2014)
        ((59, 6, 16, 80), (-0.1186, -0.0046)),  # Cavo et al., in Fagerland's Statistical Analysis of Contingency Tables
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # Newcombe (1998), the paper of method 10
    ],
)
def test_the_difference_as_published(cells, limits):
    difference = paired_difference(*outcomes(*cells)).difference
    digits = 5e-4 if cells[0] == 1 else 5e-5
    assert (difference.low, difference.high) == pytest.approx(limits, abs=digits)


def test_mcnemar_is_the_binomial_test_of_the_scenes_that_only_one_did():
    pair = paired_difference(*outcomes(59, 6, 16, 80))
    tail = sum(math.comb(22, k) for k in range(7)) / 2**22
    assert pair.p_value == pytest.approx(2 * tail)
    assert paired_difference([True, False], [True, False]).p_value == 1.0


@given(CELLS)
def test_a_difference_lies_in_its_interval_which_lies_within_one(cells):
    pair = paired_difference(*outcomes(*cells))
    assert (pair.both, pair.only_first, pair.only_second, pair.neither) == cells
    assert -1 <= pair.difference.low <= pair.difference.value <= pair.difference.high <= 1
    assert pair.difference.value == pytest.approx((cells[1] - cells[2]) / sum(cells))
    assert pair.difference.low < pair.difference.high


@given(CELLS)
def test_exchanging_two_policies_reverses_their_difference(cells):
    first, second = outcomes(*cells)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert back.difference.value == pytest.approx(-there.difference.value)
    assert (back.difference.low, back.difference.high) == pytest.approx((-there.difference.high, -there.difference.low))
    assert back.p_value == pytest.approx(there.p_value)


@pytest.mark.parametrize("probabilities", [(0.8, 0.1, 0.05, 0.05), (0.9, 0.06, 0.02, 0.02), (0.3, 0.6, 0.05, 0.05)])
def test_the_interval_of_the_difference_holds_it_as_often_as_it_says(probabilities):
    """100 scenes, as an evaluation has them, 600 times: within three standard errors, or a little too often."""
    rng = np.random.default_rng(0)
    truth = probabilities[1] - probabilities[2]
    repeats = 600
    held = 0
    for cells in rng.multinomial(100, probabilities, repeats):
        difference = paired_difference(*outcomes(*cells)).difference
        held += difference.low <= truth <= difference.high
    assert -3 * math.sqrt(LEVEL * (1 - LEVEL) / repeats) <= held / repeats - LEVEL <= 0.035


@given(RATIOS)
def test_a_mean_ratio_lies_in_its_interval_and_exchanging_inverts_it(pairs):
    first, second = zip(*pairs, strict=True)
    there, back = mean_ratio(first, second), mean_ratio(second, first)
    assert there.low <= there.value * (1 + 1e-9)
    assert there.value <= there.high * (1 + 1e-9)
    assert astuple(back) == pytest.approx((1 / there.value, 1 / there.high, 1 / there.low))
    assert math.prod(a / b for a, b in pairs) == pytest.approx(there.value ** len(pairs), rel=1e-6)


def test_the_interval_of_a_mean_ratio_holds_it_as_often_as_it_says():
    """40 scenes with a lognormal ratio; the percentile bootstrap is known to hold a little less than it says."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        estimate = mean_ratio(np.exp(rng.normal(0.2, 0.5, 40)), np.ones(40))
        held += estimate.low <= math.exp(0.2) <= estimate.high
    assert 0.90 <= held / 200 <= 0.98


def test_a_single_pair_has_no_interval():
    assert mean_ratio([2.0], [1.0]) is None
    assert mean_ratio([], []) is None


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: success_rate(0, 0), "0 of 0 episodes"),
        (lambda: success_rate(3, 2), "3 of 2 episodes"),
        (lambda: paired_difference([True], [True, False]), "1 and 2 scenes cannot be paired"),
        (lambda: paired_difference([], []), "0 and 0 scenes"),
        (lambda: mean_ratio([1.0, 2.0], [1.0]), "2 and 1 values cannot be paired"),
        (lambda: mean_ratio([1.0, 0.0], [1.0, 1.0]), "the smallest is 0"),
    ],
)
def test_what_cannot_be_computed_is_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
