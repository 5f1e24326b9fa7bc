"""A trial prediction: does a loaded policy turn observations into joint positions at all?

What a checkpoint's files cannot say shows here: a network that fails on its own inputs, numbers that are not finite.
Made at ``prana check`` and when the policy node is configured, on made-up observations, and before the arm gets
torque, on the first real ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.predictor import PolicyInput
from prana_ros.inference.spec import PolicySpec
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.units import Units


def made_up_history(spec: PolicySpec) -> list[PolicyInput]:
    """Observations of the shapes that a policy takes: an arm at the middle of its joints, images of noise."""
    rng = np.random.default_rng(0)
    return [
        PolicyInput(
            np.zeros(len(JOINT_NAMES)),
            {name: rng.integers(0, 256, (h, w, c), dtype=np.uint8) for name, (c, h, w) in spec.cameras.items()},
        )
        for _ in range(spec.observation_steps)
    ]


def trial_prediction(policy: LoadedPolicy, history: Sequence[PolicyInput]) -> list[str]:
    """What is wrong with one prediction from these observations, as sentences; empty if all is well.

    Leaves nothing behind: what the policy remembers of the observations is forgotten.

    Args:
        history: the spec's ``observation_steps`` observations, 1/fps apart, the newest last.
    """
    spec = policy.spec
    if spec.action_size != len(JOINT_NAMES) or spec.state_size not in (0, len(JOINT_NAMES)):
        return []  # Not a policy for this arm, which the gate says.
    if spec.units is None or (spec.units is Units.M100_100 and policy.calibration is None):
        # The gate says that the units, or the calibration that they need, are missing. Whether numbers are finite does
        # not depend on them.
        policy = replace(policy, spec=replace(spec, units=Units.DEGREES))
    try:
        positions = policy.predict(history).positions
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        return [f"The policy fails in a trial prediction: {cause.rstrip('.')}."]
    finally:
        policy.reset()
    problem = position_problem(positions)
    return [f"In a trial prediction, the policy returns {problem}."] if problem else []


def position_problem(positions: np.ndarray) -> str | None:
    """Why an array is not a chunk of finite joint positions (H, 6), to follow "the policy returned"; None if it is."""
    if positions.ndim != 2 or positions.shape[1] != len(JOINT_NAMES) or not len(positions):
        return f"actions of shape {positions.shape}; (steps, {len(JOINT_NAMES)}) is needed"
    bad = [name for name, column in zip(JOINT_NAMES, positions.T, strict=True) if not np.isfinite(column).all()]
    return f"positions that are not finite for {', '.join(bad)}" if bad else None
