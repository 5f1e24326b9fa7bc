"""Checkpoints of any LeRobot policy: loaded from safetensors and JSON, or refused in one sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.factory import make_pre_post_processors
from support.checkpoints import HEIGHT, MEAN, STD, WIDTH, images, save_act, save_diffusion, save_prana, state
from support.policies import NAMES

from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.checkpoint_folder import CheckpointError
from prana_ros.inference.denoising import Denoising
from prana_ros.inference.loaded_policy import LoadedPolicy
from prana_ros.inference.predictor import PolicyInput, Request
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.units import Units, lerobot_to_radians, radians_to_lerobot

TOLD = {"joint_names": NAMES, "units": Units.DEGREES, "fps": 30.0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def prana(tmp_path_factory) -> Path:
    return save_prana(tmp_path_factory.mktemp("prana") / "checkpoint")


@pytest.fixture(scope="module")
def act(tmp_path_factory) -> Path:
    return save_act(tmp_path_factory.mktemp("act") / "checkpoint")


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory) -> Path:
    return save_diffusion(tmp_path_factory.mktemp("diffusion") / "checkpoint")


def observation(seed: int = 0, offset: float = 0.0) -> PolicyInput:
    return PolicyInput(lerobot_to_radians(state(offset)), images(seed))


def batch(entry: PolicyInput, preprocessor) -> dict:
    """The observation by LeRobot's own conventions, written out: (1, C, H, W) in 0 … 1 and (1, 6) in its units."""
    result = {
        f"observation.images.{name}": torch.tensor(image).permute(2, 0, 1)[None].float() / 255
        for name, image in entry.images.items()
    }
    result["observation.state"] = torch.tensor(radians_to_lerobot(entry.state), dtype=torch.float32)[None]
    return preprocessor(result)


def test_prana_says_everything_of_itself(prana):
    spec = load_policy(prana, "cpu").spec
    assert (spec.kind, spec.joint_names, spec.units, spec.fps) == ("prana_v2", tuple(NAMES), Units.DEGREES, 10)
    assert spec.cameras == {"table": (3, HEIGHT, WIDTH), "wrist": (3, HEIGHT, WIDTH)}
    assert (spec.chunk_size, spec.observation_steps, spec.denoising_steps, spec.takes_prefix) == (16, 1, 4, True)
    assert (spec.state_size, spec.action_size, spec.other_inputs, spec.noise_problem) == (6, 6, (), None)
    np.testing.assert_allclose(spec.state_range.upper, MEAN + 3 * STD)


def test_another_policy_is_told_what_it_does_not_say(act):
    silent = load_policy(act, "cpu").spec
    assert (silent.joint_names, silent.units, silent.fps, silent.takes_prefix) == (None, None, None, False)
    spec = load_policy(act, "cpu", **TOLD).spec
    assert (spec.kind, spec.joint_names, spec.units, spec.fps) == ("act", tuple(NAMES), Units.DEGREES, 30.0)


def test_what_the_user_says_does_not_overwrite_what_the_checkpoint_says(prana):
    spec = load_policy(prana, "cpu", joint_names=["a"], units=Units.M100_100, fps=99.0).spec
    assert (spec.joint_names, spec.units, spec.fps) == (tuple(NAMES), Units.DEGREES, 10)


def test_prana_predicts_what_its_own_pipeline_does(prana):
    loaded = load_policy(prana, "cpu")
    prediction = loaded.predict([observation()], seed=5)
    preprocessor, postprocessor = make_pre_post_processors(loaded.policy.config, pretrained_path=str(prana))
    torch.manual_seed(5)
    expected = postprocessor(loaded.policy.predict_action_chunk(batch(observation(), preprocessor)))
    np.testing.assert_allclose(radians_to_lerobot(prediction.positions), expected[0].numpy(), atol=1e-3)
    assert prediction.context_time > 0
    assert prediction.denoise_time > 0


def test_act_predicts_what_lerobot_does_and_nothing_is_downloaded(act, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("a download"))
    loaded = load_policy(act, "cpu", **TOLD)
    prediction = loaded.predict([observation()])
    policy = ACTPolicy.from_pretrained(act, config=loaded.policy.config)
    preprocessor, postprocessor = make_pre_post_processors(policy.config, pretrained_path=str(act))
    expected = postprocessor(policy.predict_action_chunk(batch(observation(), preprocessor)))
    np.testing.assert_allclose(radians_to_lerobot(prediction.positions), expected[0].numpy(), atol=1e-3)


def test_diffusion_sees_its_history_as_lerobot_shows_it(diffusion):
    loaded = load_policy(diffusion, "cpu", **TOLD)
    assert loaded.spec.observation_steps == 2
    history = [observation(1, 0.0), observation(2, 0.5)]
    loaded.predict([observation(7, -1.0)] * 2, seed=1)  # must leave no trace
    prediction = loaded.predict(history, seed=3)
    # LeRobot: one select_action per observation; the second would predict from both, were the queue of actions empty.
    policy = DiffusionPolicy.from_pretrained(diffusion, config=loaded.policy.config)
    preprocessor, postprocessor = make_pre_post_processors(policy.config, pretrained_path=str(diffusion))
    policy.select_action(batch(history[0], preprocessor))
    policy._queues["action"].clear()
    torch.manual_seed(3)
    first = postprocessor(policy.select_action(batch(history[1], preprocessor)))
    rest = [postprocessor(action) for action in policy._queues["action"]]
    expected = torch.cat([first, *rest]).numpy()
    np.testing.assert_allclose(radians_to_lerobot(prediction.positions), expected, atol=1e-3)


def test_equal_seeds_give_equal_predictions_and_others_do_not(prana):
    loaded = load_policy(prana, "cpu")
    first, again, other = (loaded.predict([observation()], seed=seed).positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def calls(module: torch.nn.Module) -> list[tuple]:
    """The arguments of every call from now on."""
    seen: list[tuple] = []
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    return seen


def test_steps_and_grid_of_the_denoising_are_options_of_the_deployment(prana):
    loaded = load_policy(prana, "cpu", denoising=Denoising(steps=2, time_grid_shift=0.5))
    assert loaded.spec.denoising_steps == 2
    evaluations = calls(loaded.policy.network.decoder)
    positions = loaded.predict([observation()], seed=1).positions
    # t' = αt / (1 + (α − 1)t) of the even grid 1, 1/2, 0 with α = 1/2.
    np.testing.assert_allclose([t.item() for _, t, *_ in evaluations], [1.0, 1 / 3], rtol=1e-6)
    assert np.abs(positions - load_policy(prana, "cpu").predict([observation()], seed=1).positions).max() > 1e-4


def test_the_denoising_steps_of_another_policy_are_an_option_too(diffusion):
    loaded = load_policy(diffusion, "cpu", denoising=Denoising(steps=2), **TOLD)
    assert loaded.spec.denoising_steps == 2
    evaluations = calls(loaded.policy.diffusion.unet)
    loaded.predict([observation(), observation()])
    assert len(evaluations) == 2


@pytest.mark.parametrize(
    ("kind", "wish", "sentence"),
    [
        ("act", {"steps": 3}, "denoising_steps is 3, but a policy of type 'act' does not denoise: only 0 is allowed"),
        ("diffusion", {"steps": 5}, "denoising_steps is 5, but .* trained on 4 noise levels: at most 4 steps"),
        ("diffusion", {"time_grid_shift": 0.5}, "time_grid_shift is 0.5, but a policy of type 'diffusion' has no grid"),
        ("prana", {"steps": -1}, "denoising_steps is -1, but must be at least 1, or 0"),
        ("prana", {"time_grid_shift": float("nan")}, "time_grid_shift is nan, but must be above 0, or 0"),
    ],
)
def test_a_denoising_that_a_policy_cannot_do_is_refused(kind, wish, sentence, request):
    with pytest.raises(ValueError, match=sentence):
        load_policy(request.getfixturevalue(kind), "cpu", denoising=Denoising(**wish))


def test_a_prefix_comes_back_in_the_robot_s_units(prana):
    loaded = load_policy(prana, "cpu")
    prefix = lerobot_to_radians(MEAN + STD * np.linspace(-1, 1, 5)[:, None])
    positions = loaded.predict([observation()], prefix=prefix).positions
    np.testing.assert_allclose(positions[:5], prefix, atol=1e-5)


def asked(loaded: LoadedPolicy, index: int) -> Request:
    """A request like no other: prefixes of two lengths and none, where the policy takes them."""
    history = [observation(3 * index + k, 0.2 * index - 0.1 * k) for k in range(loaded.spec.observation_steps)]
    length = index % 3
    joints = MEAN + STD * np.linspace(-1, 1, length)[:, None] * (index + 1) / 10
    prefix = lerobot_to_radians(joints) if loaded.spec.takes_prefix and length else None
    return Request(history, "", prefix, seed=100 + index)


@pytest.mark.parametrize("kind", ["prana", "prana_v1", "act"])
def test_together_predictions_are_what_they_are_alone(kind, request, tmp_path):
    folder = save_prana(tmp_path / kind, kind) if kind == "prana_v1" else request.getfixturevalue(kind)
    loaded = load_policy(folder, "cpu", **TOLD)
    requests = [asked(loaded, index) for index in range(7)]
    predictions = loaded.predict_many(requests)
    for one, prediction in zip(requests, predictions, strict=True):
        alone = loaded.predict(one.history, one.task, one.prefix, one.seed)
        np.testing.assert_allclose(prediction.positions, alone.positions, atol=1e-4)
    assert np.abs(predictions[0].positions - predictions[3].positions).max() > 1e-3


def test_those_whose_prefixes_are_equally_long_go_through_the_policy_together(prana):
    loaded = load_policy(prana, "cpu")
    passes = calls(loaded.policy.network.decoder)
    loaded.predict_many([asked(loaded, index) for index in range(7)])
    steps = loaded.spec.denoising_steps
    assert sorted(len(x) for x, *_ in passes[::steps]) == [2, 2, 3]


def test_together_diffusion_sees_each_history_on_its_own(diffusion, monkeypatch):
    """Its noise is drawn for the batch: what tells alone from together is what conditions the denoising."""
    loaded = load_policy(diffusion, "cpu", **TOLD)
    model, conditions = loaded.policy.diffusion, []
    sample = model.conditional_sample

    def note(batch_size, global_cond, **options):
        conditions.append(global_cond)
        return sample(batch_size, global_cond=global_cond, **options)

    monkeypatch.setattr(model, "conditional_sample", note)
    requests = [asked(loaded, index) for index in range(3)]
    together = loaded.predict_many(requests)
    assert [prediction.positions.shape for prediction in together] == [(8, 6)] * 3
    for one in requests:
        loaded.predict(one.history)
    np.testing.assert_allclose(conditions[0], np.concatenate(conditions[1:]), atol=1e-5)


def test_a_policy_that_is_not_known_to_take_batches_predicts_one_by_one(act):
    loaded = load_policy(act, "cpu", **TOLD)
    loaded.spec = replace(loaded.spec, kind="another")
    passes = calls(loaded.policy.model.encoder)
    loaded.predict_many([asked(loaded, index) for index in range(3)])
    assert len(passes) == 3


def test_units_of_100_go_through_the_arm_s_calibration(tmp_path):
    folder = save_prana(tmp_path / "checkpoint", units="m100_100")
    calibration = twin_calibration()
    loaded = load_policy(folder, "cpu", calibration=calibration)
    entry = PolicyInput(lerobot_to_radians(state(), Units.M100_100, calibration), images())
    degrees = load_policy(save_prana(tmp_path / "degrees"), "cpu")
    same = PolicyInput(lerobot_to_radians(state()), images())
    np.testing.assert_allclose(
        radians_to_lerobot(loaded.predict([entry]).positions, Units.M100_100, calibration),
        radians_to_lerobot(degrees.predict([same]).positions),
        atol=1e-3,
    )


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([PolicyInput(np.zeros(6), {"table": images()["table"]})], "needs an image of camera 'wrist'"),
        (
            [PolicyInput(np.zeros(6), {**images(), "wrist": np.zeros((480, 640, 3), np.uint8)})],
            "'wrist' gives images of 640x480x3; the policy was trained on 64x48x3",
        ),
        ([PolicyInput(np.zeros(6), images())] * 2, "takes 1 observations, got 2"),
    ],
)
def test_an_observation_that_does_not_fit_is_refused(prana, entries, sentence):
    with pytest.raises(ValueError, match=sentence):
        load_policy(prana, "cpu").predict(entries)


def test_a_policy_without_inpainting_refuses_a_prefix(act):
    with pytest.raises(ValueError, match="act policy cannot go on"):
        load_policy(act, "cpu", **TOLD).predict([observation()], prefix=np.zeros((3, 6)))


def test_lerobot_s_training_folder_is_accepted(prana, tmp_path):
    shutil.copytree(prana, tmp_path / "last" / "pretrained_model")
    assert load_policy(tmp_path / "last", "cpu").spec.kind == "prana_v2"


def broken(source: Path, target: Path, **replaced: str | None) -> Path:
    """A copy with files rewritten (text) or removed (None); `__` stands for a dot in their names."""
    shutil.copytree(source, target)
    for name, text in replaced.items():
        file = target / name.replace("__", ".")
        file.unlink() if text is None else file.write_text(text)
    return target


def foreign_step(prana: Path) -> str:
    content = json.loads((prana / "policy_preprocessor.json").read_text())
    content["steps"].insert(0, {"class": "subprocess.Popen", "config": {"args": "true"}})
    return json.dumps(content)


def test_what_is_no_checkpoint_is_refused_in_one_sentence(prana, tmp_path):
    cases = {
        "": "policy_path is empty",
        str(tmp_path / "nowhere"): "nowhere' is not a folder here",
        str(tmp_path): "not a LeRobot checkpoint: config.json, model.safetensors, .* missing",
        str(broken(prana, tmp_path / "a", model__safetensors=None)): "model.safetensors missing",
        str(
            broken(prana, tmp_path / "b", config__json='{"type": "warp_drive"}')
        ): "of type 'warp_drive'; known are act",
        str(broken(prana, tmp_path / "c", config__json="{")): "is not a JSON file",
        str(
            broken(prana, tmp_path / "d", policy_preprocessor__json=foreign_step(prana))
        ): "names the class 'subprocess",
        str(broken(prana, tmp_path / "e", model__safetensors="not tensors")): "weights of checkpoint .* cannot be read",
    }
    for path, sentence in cases.items():
        with pytest.raises(CheckpointError, match=sentence) as refusal:
            load_policy(path, "cpu")
        assert "\n" not in str(refusal.value)


def test_weights_of_another_network_are_refused_not_left_random(prana, tmp_path):
    content = json.loads((prana / "config.json").read_text())
    content["num_decoder_layers"] = 3
    folder = broken(prana, tmp_path / "deeper", config__json=json.dumps(content))
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_policy(folder, "cpu")


def test_a_device_that_is_not_there_is_refused(prana):
    with pytest.raises(CheckpointError, match="device 'cuda:99' is not available"):
        load_policy(prana, "cuda:99")
