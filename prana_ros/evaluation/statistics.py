"""What a number of episodes says about a policy, and about two policies on the same scenes.

Intervals are at 95 %:

- a success rate: Wilson's score interval (E. B. Wilson, JASA 22, 1927);
- the difference of two success rates on the same scenes: Newcombe's square-and-add interval, method 10 of R. G.
  Newcombe, Statistics in Medicine 17, 2635-2650 (1998), which Fagerland, Lydersen and Laake recommend for paired
  proportions (Statistics in Medicine 33, 2850-2875, 2014);
- the mean ratio of a positive quantity on the same scenes: the percentile bootstrap of the mean log ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that holds what it estimates, at ``LEVEL``."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """How much more often the first of two policies succeeds than the second, on n scenes that both were given.

    Attributes:
        difference: of the success rates, first minus second.
        both, only_first, only_second, neither: scenes in which they succeeded.
        p_value: McNemar's exact test of equal success rates, two-sided.
    """

    difference: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


def success_rate(successes: int, episodes: int) -> Estimate:
    """Share of episodes that succeeded, with Wilson's interval.

    Raises:
        ValueError: without an episode, or with more successes than episodes.
    """
    if not 0 <= successes <= episodes or episodes == 0:
        raise ValueError(f"{successes} of {episodes} episodes succeeded; allowed: 0 to as many as there are, 1 or more")
    interval = binomtest(successes, episodes).proportion_ci(LEVEL, method="wilson")
    return Estimate(successes / episodes, float(interval.low), float(interval.high))


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> PairedDifference:
    """Compare the successes of two policies, scene by scene.

    Raises:
        ValueError: if both have not the same number of scenes, or none.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"{len(first)} and {len(second)} scenes cannot be paired; as many of each are needed")
    one, two = np.asarray(first, bool), np.asarray(second, bool)
    both, only_first = int((one & two).sum()), int((one & ~two).sum())
    only_second, neither = int((~one & two).sum()), int((~one & ~two).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    difference = _square_and_add(both, only_first, only_second, neither)
    return PairedDifference(difference, both, only_first, only_second, neither, p_value)


def _square_and_add(both: int, only_first: int, only_second: int, neither: int) -> Estimate:
    n = both + only_first + only_second + neither
    one, two = success_rate(both + only_first, n), success_rate(both + only_second, n)
    correlation = _correlation(both, only_first, only_second, neither)

    def distance(below: float, above: float) -> float:
        """From the difference to a limit: the two rates' own distances, as sides that enclose their correlation."""
        return float(np.sqrt(max(0.0, below**2 - 2 * correlation * below * above + above**2)))

    value = (only_first - only_second) / n
    low = value - distance(one.value - one.low, two.high - two.value)
    high = value + distance(two.value - two.low, one.high - one.value)
    return Estimate(value, max(-1.0, low), min(1.0, high))


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Of success of the first with success of the second, corrected for continuity where it is positive."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(0.0, excess - (both + only_first + only_second + neither) / 2)
    return excess / float(np.sqrt(margins))


def mean_ratio(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Estimate | None:
    """Geometric mean of first over second, pair by pair, so that exchanging both gives the inverse.

    Args:
        first, second: a positive quantity on the same scenes.
        seed: of the bootstrap.

    Returns:
        ``None`` with less than two pairs, which say nothing of their spread.

    Raises:
        ValueError: if the pairs are not complete, or a number is not above 0.
    """
    one, two = np.asarray(first, float), np.asarray(second, float)
    if one.shape != two.shape:
        raise ValueError(f"{len(one)} and {len(two)} values cannot be paired; the same number is needed")
    if not (np.all(one > 0) and np.all(two > 0)):
        raise ValueError(f"a ratio needs values above 0; the smallest is {min(one.min(), two.min()):g}")
    if len(one) < 2:
        return None
    logs = np.log(one / two)
    interval = bootstrap(
        (logs,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=seed
    ).confidence_interval
    return Estimate(*(float(np.exp(value)) for value in (logs.mean(), interval.low, interval.high)))
