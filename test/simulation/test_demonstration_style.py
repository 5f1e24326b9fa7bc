"""Manners: reproducible, different, moderate."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from prana_ros.simulation.demonstration_style import (
    MISS_SHARE,
    PACE,
    PAUSE_SHARE,
    PAUSES,
    TURN_BAND,
    DemonstrationStyle,
    draw_style,
)


def drawn(seed: int) -> DemonstrationStyle:
    return draw_style(np.random.default_rng(seed))


@given(st.integers(0, 2**31))
def test_a_seed_gives_one_manner_and_another_seed_another(seed):
    assert drawn(seed) == drawn(seed)
    assert drawn(seed) != drawn(seed + 1)


@given(st.integers(0, 2**31))
def test_manners_are_moderate(seed):
    style = drawn(seed)
    assert 1 / PACE <= style.pace <= PACE
    assert 1 / PACE <= style.care <= PACE
    assert abs(style.turn_limit - np.pi / 2) <= TURN_BAND
    assert np.hypot(*style.hover_shift) <= 0.015
    for pause in (style.pause_at_tool, style.pause_at_box):
        assert pause == 0 or PAUSES[0] <= pause <= PAUSES[1]


def test_everything_varies_and_the_rare_is_rare():
    styles = [drawn(seed) for seed in range(2000)]
    for field in fields(DemonstrationStyle):
        values = {getattr(style, field.name) for style in styles}
        assert len(values) > 50, field.name
    pauses = sum(style.pause_at_tool > 0 for style in styles)
    misses = sum(style.miss is not None for style in styles)
    assert binomtest(pauses, 2000, PAUSE_SHARE).pvalue > 1e-3
    assert binomtest(misses, 2000, MISS_SHARE).pvalue > 1e-3


def test_what_is_drawn_does_not_hang_together():
    """A rare draw must not shift the ones that come after it: each is as wide among those who miss."""
    misses = [style for style in (drawn(seed) for seed in range(2000)) if style.miss is not None]
    assert np.std([style.pace for style in misses]) == pytest.approx(np.std(PACE ** np.linspace(-1, 1)), rel=0.25)
