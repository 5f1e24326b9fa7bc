import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from prana_ros.policies.ema import EMA


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.floats(0, 0.999))
def test_the_average_is_the_weighted_sum_of_all_weights_seen(weights, decay):
    module = nn.Linear(1, 1, bias=False).double()
    average = EMA(decay)
    expected = None
    for n, weight in enumerate(weights):
        nn.init.constant_(module.weight, weight)
        average.update(module)
        if expected is None:
            expected = weight
        else:
            d = min(decay, n / (9 + n))
            expected = d * expected + (1 - d) * weight
    assert average.averaged(module.state_dict())["weight"].item() == pytest.approx(expected, abs=1e-9)
    assert module.weight.item() == weights[-1]


def test_what_is_not_trained_is_not_averaged():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    average = EMA(0.9)
    average.update(module)
    assert set(average.raw_state(module)) == {"1.weight", "1.bias", "num_updates"}


def test_resuming_equals_never_having_stopped():
    torch.manual_seed(0)
    module, steps = nn.Linear(3, 2), [torch.randn(2, 3) for _ in range(12)]
    average = EMA(0.5)

    def train(m, a, some):
        for step in some:
            with torch.no_grad():
                m.weight.add_(step)
            a.update(m)

    train(module, average, steps[:7])
    stored, raw = nn.Linear(3, 2), {k: v.clone() for k, v in average.raw_state(module).items()}
    stored.load_state_dict(average.averaged(module.state_dict()))
    resumed = EMA(0.5)
    resumed.resume(stored, raw)
    train(module, average, steps[7:])
    train(stored, resumed, steps[7:])
    torch.testing.assert_close(stored.weight, module.weight)
    torch.testing.assert_close(
        resumed.averaged(stored.state_dict())["weight"], average.averaged(module.state_dict())["weight"]
    )


def test_what_was_frozen_until_now_goes_on_from_the_weights_that_it_has():
    frozen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    frozen[0].requires_grad_(False)
    average = EMA(0.9)
    average.update(frozen)
    raw = {name: value + 1 if "." in name else value for name, value in average.raw_state(frozen).items()}
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    frozen.requires_grad_(True)
    EMA(0.9).resume(frozen, raw)
    for name, value in frozen.state_dict().items():
        torch.testing.assert_close(value, before[name] + (1 if name.startswith("1") else 0))


def test_a_decay_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="ema_decay"):
        EMA(1.0)
