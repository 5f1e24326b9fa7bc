"""What training takes a dataset to be: units, joints, inputs, and what is refused before the first step."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig

from prana_ros.learning.dataset_description import describe, looks_like_m100_100, looks_like_radians
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config
from prana_ros.so101.model import JOINT_NAMES, JOINTS

OLD_NAMES = ["Rotation", "Pitch", "Elbow", "Wrist_Pitch", "Wrist_Roll", "Jaw"]
DEGREES = np.array([[-60.0, -95, -80, -40, -90, 0], [60.0, 50, 92, 70, 90, 80]])
LIMITS = np.degrees([[joint.lower, joint.upper] for joint in JOINTS[:-1]])


def dataset(names=JOINT_NAMES, size=6, ends=DEGREES, **features):
    """A dataset's description as LeRobot has it; ``features``: more of them, by the last part of their name."""
    joints = {"dtype": "float32", "shape": (size,), "names": [f"{name}.pos" for name in names]}
    known = {"action": joints, "observation.state": joints}
    known["observation.images.table"] = {
        "dtype": "video",
        "shape": (48, 64, 3),
        "names": ["height", "width", "channels"],
    }
    known |= {f"observation.{name}": feature for name, feature in features.items()}
    stats = {key: {"min": ends[0], "max": ends[1]} for key in ("action", "observation.state")}
    return SimpleNamespace(features=known, stats=stats, fps=30)


def test_everything_is_said_with_its_source():
    description = describe(dataset(), PranaV2Config())
    text = "\n".join(description.lines)
    assert f"joints   {', '.join(JOINT_NAMES)} (the dataset's action names)" in text
    assert "units    degrees, gripper 0 to 100 (by default; a dataset does not say them, --policy.units does)" in text
    assert "rate     30 frames a second" in text
    assert "cameras  table" in text
    assert description.warnings == ()


def test_the_prefix_of_older_releases_is_known():
    described = describe(dataset(names=[f"main_{name}" for name in JOINT_NAMES]), PranaV2Config())
    assert f"joints   {', '.join(JOINT_NAMES)} (" in described.lines[0]


def test_other_names_are_refused_with_the_flag_and_accepted_with_it():
    with pytest.raises(ValueError, match=r"joints are Rotation, .* --policy.joint_names=\[shoulder_pan,.*gripper\]"):
        describe(dataset(names=OLD_NAMES), PranaV2Config())
    described = describe(dataset(names=OLD_NAMES), PranaV2Config(joint_names=list(JOINT_NAMES)), {"policy.joint_names"})
    assert described.lines[0].endswith("(--policy.joint_names)")


def test_an_order_that_the_dataset_contradicts_is_refused():
    other = [*JOINT_NAMES[1:], JOINT_NAMES[0]]
    with pytest.raises(ValueError, match=r"the joints are shoulder_lift, .*but an SO-101's are shoulder_pan"):
        describe(dataset(names=other), PranaV2Config())
    with pytest.raises(ValueError, match=r"joint_names is shoulder_pan, .* but the dataset's order is shoulder_lift"):
        describe(dataset(names=other), PranaV2Config(joint_names=list(JOINT_NAMES)))


@pytest.mark.parametrize("policy", [PranaV2Config(), ACTConfig(push_to_hub=False)])
def test_what_no_option_could_deploy_is_refused(policy):
    twelve = dataset(names=[*JOINT_NAMES, *(f"right_{name}" for name in JOINT_NAMES)], size=12)
    with pytest.raises(ValueError, match="has 12 entries; an SO-101 has 6 joints, and no option deploys"):
        describe(twelve, policy)
    without = dataset()
    del without.features["observation.state"]
    with pytest.raises(ValueError, match=r"the dataset has no observation\.state"):
        describe(without, policy)


def test_state_that_the_arms_nodes_do_not_give_is_named():
    velocity = {"dtype": "float32", "shape": (6,), "names": list(JOINT_NAMES)}
    assert "not used: observation.velocity" in describe(dataset(velocity=velocity), PranaV2Config()).lines[-1]


def test_a_policy_that_keeps_nothing_says_what_deployment_will_ask_for():
    assert (
        "give joint_names, units and fps to the policy node"
        in describe(dataset(), ACTConfig(push_to_hub=False)).lines[-1]
    )


def test_units_that_the_statistics_contradict_are_warned_of():
    full = np.array([[-100.0, -98, -100, -30, -100, 0], [100.0, 100, 70, 99, 100, 100]])
    warnings = describe(dataset(ends=full), PranaV2Config()).warnings
    assert len(warnings) == 2
    assert "say --policy.units=m100_100" in warnings[0]
    assert describe(dataset(ends=full), PranaV2Config(units="m100_100")).warnings == ()
    radians = describe(dataset(ends=np.radians(DEGREES)), PranaV2Config()).warnings
    assert "as if the values were radians" in radians[0]
    beyond = describe(dataset(ends=DEGREES * 1.2), PranaV2Config(units="m100_100")).warnings
    assert "are the units degrees?" in beyond[0]


part = st.floats(0.0, 1.0)


@given(st.lists(part, min_size=5, max_size=5), st.lists(part, min_size=5, max_size=5))
def test_degrees_are_taken_for_another_unit_only_where_a_joint_ends_at_a_hundred(low, high):
    lower, upper = LIMITS[:, 0] * np.array(low), LIMITS[:, 1] * np.array(high)
    farthest = np.maximum(-lower, upper)
    assume((np.abs(farthest - 100.0) > 0.01).all())
    assert not looks_like_m100_100(lower, upper)
    assert looks_like_radians(lower, upper) == (0.0 < farthest.max() <= np.pi)


@given(st.lists(st.tuples(part, part), min_size=5, max_size=5), st.sets(st.integers(0, 4), min_size=1))
def test_joints_that_were_swept_to_their_ends_are_always_recognized(ends, swept):
    lower = np.array([-100.0 if i in swept else -100.0 * low for i, (low, _) in enumerate(ends)])
    upper = np.array([100.0 if i in swept else 100.0 * high for i, (_, high) in enumerate(ends)])
    assert looks_like_m100_100(lower, upper)


def test_degrees_that_nearly_end_at_a_hundred_raise_no_alarm():
    ends = np.array([[-99.8, -100.2, -80, -40, -90, 0], [60.0, 50, 92, 70, 90, 80]])
    assert describe(dataset(ends=ends), PranaV2Config()).warnings == ()


def checkpoint(folder, **config):
    (folder / "config.json").write_text(json.dumps(config))
    return PranaV2Config(pretrained_path=folder, **config)


def test_going_on_from_a_checkpoint_needs_its_joints(tmp_path):
    policy = checkpoint(tmp_path, joint_names=list(JOINT_NAMES), units="degrees")
    assert describe(dataset(), policy).lines[0].endswith("(the checkpoint's)")
    with pytest.raises(ValueError, match=r"the checkpoint's joints are shoulder_pan, .* the dataset's are Rotation"):
        describe(dataset(names=OLD_NAMES), policy)
    described = describe(dataset(names=OLD_NAMES), policy, {"policy.joint_names"})
    assert described.lines[0].endswith("(--policy.joint_names)")
    assert describe(dataset(names=OLD_NAMES), policy, {"resume"}).lines[0].endswith("(the checkpoint's)")


def test_going_on_from_a_checkpoint_needs_its_units(tmp_path):
    policy = checkpoint(tmp_path, joint_names=list(JOINT_NAMES), units="m100_100")
    assert "m100_100, gripper 0 to 100 (the checkpoint's)" in describe(dataset(), policy).lines[1]
    policy.units = "degrees"
    with pytest.raises(ValueError, match="is degrees, but the checkpoint was trained in m100_100"):
        describe(dataset(), policy, {"policy.units"})


def test_a_state_in_another_order_than_the_action_is_refused():
    meta = dataset()
    other = [f"{name}.pos" for name in (*JOINT_NAMES[1:], JOINT_NAMES[0])]
    meta.features["observation.state"] = meta.features["observation.state"] | {"names": other}
    with pytest.raises(ValueError, match=r"observation\.state has the joints shoulder_lift, .* action shoulder_pan"):
        describe(meta, PranaV2Config())


def test_a_policy_that_would_take_another_state_is_refused_with_the_flag_that_leaves_it_out():
    velocity = {"dtype": "float32", "shape": (6,), "names": list(JOINT_NAMES)}
    with pytest.raises(ValueError, match=r"would take observation\.velocity, .*--policy.input_features='") as refused:
        describe(dataset(velocity=velocity), ACTConfig(push_to_hub=False))
    wanted = json.loads(str(refused.value).split("--policy.input_features='")[1].removesuffix("'"))
    assert wanted["observation.images.table"] == {"type": "VISUAL", "shape": [3, 48, 64]}
    features = {key: PolicyFeature(FeatureType[value["type"]], tuple(value["shape"])) for key, value in wanted.items()}
    describe(dataset(velocity=velocity), ACTConfig(push_to_hub=False, input_features=features))
