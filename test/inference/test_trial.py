"""One trial prediction tells whether a loaded policy gives joint positions at all."""

import numpy as np
import pytest
import torch
from support.checkpoints import CAMERAS, HEIGHT, WIDTH, save_act, save_diffusion, save_prana
from support.policies import NAMES

from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.trial import made_up_history, trial_prediction
from prana_ros.so101.units import Units

SAVE = {"prana": save_prana, "act": save_act, "diffusion": save_diffusion}


@pytest.fixture(params=SAVE)
def policy(request, tmp_path):
    torch.set_num_threads(1)
    return load_policy(SAVE[request.param](tmp_path / "c"), "cpu", joint_names=NAMES, units=Units.DEGREES, fps=10.0)


def test_the_made_up_history_has_what_the_policy_takes(policy):
    history = made_up_history(policy.spec)
    assert len(history) == policy.spec.observation_steps
    for entry in history:
        assert entry.state.shape == (6,)
        assert {name: image.shape for name, image in entry.images.items()} == dict.fromkeys(CAMERAS, (HEIGHT, WIDTH, 3))


def test_a_sound_policy_is_not_objected_to(policy):
    assert trial_prediction(policy, made_up_history(policy.spec)) == []


def test_the_trial_leaves_nothing_behind(policy):
    history = made_up_history(policy.spec)
    before = policy.predict(history, seed=3).positions
    trial_prediction(policy, history)
    np.testing.assert_array_equal(policy.predict(history, seed=3).positions, before)


def test_numbers_that_are_not_finite_are_named_by_joint(policy):
    policy.postprocessor.steps[0]._tensor_stats["action"] = {
        key: value.index_fill(0, torch.tensor([3]), torch.nan)
        for key, value in policy.postprocessor.steps[0]._tensor_stats["action"].items()
    }
    assert trial_prediction(policy, made_up_history(policy.spec)) == [
        "In a trial prediction, the policy returns positions that are not finite for wrist_flex."
    ]


def test_a_policy_that_fails_is_one_sentence(policy):
    history = made_up_history(policy.spec)
    policy.preprocessor.steps[-1]._tensor_stats["observation.state"] = {
        key: torch.ones(5) for key in ("mean", "std", "min", "max")
    }
    (sentence,) = trial_prediction(policy, history)
    assert sentence.startswith("The policy fails in a trial prediction: The size of tensor a (6) must match")
    assert "\n" not in sentence


@pytest.mark.parametrize("units", [None, Units.M100_100])
def test_units_or_a_calibration_that_are_not_known_are_left_to_the_gate(tmp_path, units):
    policy = load_policy(save_act(tmp_path / "c"), "cpu", units=units)
    assert trial_prediction(policy, made_up_history(policy.spec)) == []
