"""Stock ``lerobot-train`` with each policy: trained, resumed, finetuned; found with and without the plugin."""

import json
from pathlib import Path

import pytest
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.policies.factory import get_policy_class
from safetensors.torch import load_file, save_file
from support.lerobot_commands import run_lerobot
from support.policies import FLOW_KINDS, KINDS, swinging_dataset

from prana_ros.policies.chunk_policy import TRAINING_WEIGHTS_FILE
from prana_ros.policies.correlated_noise import fit_noise
from prana_ros.policies.dataset_metadata import action_statistics, normalized_action_episodes
from prana_ros.policies.ema import UPDATES

pytestmark = pytest.mark.usefixtures("starts_processes")

STEPS, RESUMED_STEPS, FINETUNED_STEPS = 4, 6, 2
LEARNING_RATE = 1e-4
SHIFT = 1.0

TINY = {
    "device": "cpu",
    "push_to_hub": "false",
    "backbone": "small_cnn",
    "freeze_backbone": "false",
    "image_size": "32",
    "dim": "16",
    "num_heads": "2",
    "chunk_size": "8",
    "n_action_steps": "8",
    "optimizer_lr": str(LEARNING_RATE),
    "scheduler_warmup_steps": "1",
}
LAYERS = {
    "prana_v1": {"num_encoder_layers": "1"},
    **{kind: {"num_context_layers": "1", "num_decoder_layers": "1"} for kind in FLOW_KINDS},
}
RUN = ["--batch_size=4", "--num_workers=0", "--log_freq=1"]


def data(root: Path) -> list[str]:
    return ["--dataset.repo_id=test/swinging", f"--dataset.root={root}", "--dataset.video_backend=pyav"]


def train(kind: str, root: Path, output: Path, steps: int, *options: str) -> list[str]:
    tiny = [f"--policy.{name}={value}" for name, value in {**TINY, **LAYERS[kind]}.items()]
    where = [*data(root), f"--output_dir={output}", f"--steps={steps}", "--save_freq=2"]
    return ["lerobot_train", f"--policy.type={kind}", *tiny, *where, *RUN, *options]


def last(output: Path) -> Path:
    return output / "checkpoints" / "last" / "pretrained_model"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("stock") / "swinging"
    swinging_dataset(root, lengths=(12, 10))
    return root


@pytest.fixture(scope="module")
def other_dataset(tmp_path_factory) -> Path:
    """The same joints and cameras, other movements."""
    root = tmp_path_factory.mktemp("stock") / "other"
    swinging_dataset(root, lengths=(10, 9), amplitude=35.0)
    return root


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory) -> Path:
    """A folder with one run of each kind."""
    runs = tmp_path_factory.mktemp("trained")
    run_lerobot(*(train(kind, dataset, runs / kind, STEPS) for kind in KINDS))
    return runs


@pytest.fixture(scope="module")
def continued(trained, other_dataset, tmp_path_factory) -> Path:
    """A folder with a finetuned run of each kind; those of ``trained`` are resumed, from shifted raw weights.

    A few steps do not move a weight by nearly as much as the shift: what comes of it shows what was gone on with.
    """
    runs = tmp_path_factory.mktemp("finetuned")
    commands = []
    for kind in KINDS:
        checkpoint = last(trained / kind).resolve()
        finetune = [f"--policy.path={checkpoint}", "--policy.push_to_hub=false", f"--output_dir={runs / kind}"]
        commands.append(["lerobot_train", *data(other_dataset), *finetune, f"--steps={FINETUNED_STEPS}", *RUN])
    for kind in KINDS:
        checkpoint = last(trained / kind).resolve()
        config = f"--config_path={checkpoint / 'train_config.json'}"
        commands.append(["lerobot_train", config, "--resume=true", f"--steps={RESUMED_STEPS}"])
        raw = load_file(checkpoint / TRAINING_WEIGHTS_FILE)
        shifted = {name: value if name == UPDATES else value + SHIFT for name, value in raw.items()}
        save_file(shifted, checkpoint / TRAINING_WEIGHTS_FILE, metadata={"format": "pt"})
    run_lerobot(*commands)
    return runs


def weights(checkpoint: Path) -> tuple[dict, dict]:
    """Of a checkpoint: what it deploys, and the raw weights beside it."""
    return load_file(checkpoint / "model.safetensors"), load_file(checkpoint / TRAINING_WEIGHTS_FILE)


@pytest.mark.parametrize("kind", KINDS)
def test_training_writes_a_checkpoint_that_says_what_it_was_trained_on(trained, dataset, kind):
    config = json.loads((last(trained / kind) / "config.json").read_text())
    assert config["type"] == kind
    assert config["fps"] == 10
    assert config["joint_names"][0] == "shoulder_pan"
    policy = get_policy_class(kind).from_pretrained(last(trained / kind))
    if kind in FLOW_KINDS:
        assert policy.noise_problem() is None
        assert policy.noise.fitted_under(action_statistics(LeRobotDatasetMetadata("test/swinging", root=dataset)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("continued")
def test_resuming_goes_on_with_the_raw_weights_and_their_average(trained, kind):
    folders = [trained / kind / "checkpoints" / f"{step:06d}" / "pretrained_model" for step in (STEPS, RESUMED_STEPS)]
    (average, raw), (average_after, raw_after) = map(weights, folders)
    updates = int(raw[UPDATES])
    assert int(raw_after[UPDATES]) == updates + RESUMED_STEPS - STEPS
    kept = 1.0
    for n in range(updates, updates + RESUMED_STEPS - STEPS):
        kept *= (1 + n) / (10 + n)
    names = [name for name in raw if name != UPDATES]
    assert names
    for name in names:
        torch.testing.assert_close(raw_after[name], raw[name], atol=10 * LEARNING_RATE, rtol=0)
        expected = kept * average[name] + (1 - kept) * raw[name]
        torch.testing.assert_close(average_after[name], expected, atol=10 * LEARNING_RATE, rtol=0)
        assert (average_after[name] - average[name]).min() > 0.1 * SHIFT, "the shift is what is told apart here"


@pytest.mark.parametrize("kind", FLOW_KINDS)
@pytest.mark.usefixtures("continued")
def test_resuming_keeps_the_noise(trained, kind):
    folders = [trained / kind / "checkpoints" / f"{step:06d}" / "pretrained_model" for step in (STEPS, RESUMED_STEPS)]
    before, after = (load_file(folder / "model.safetensors") for folder in folders)
    for name in ("noise.cholesky", "noise.statistics_hash"):
        assert torch.equal(before[name], after[name])
    # The covariance was not begun anew either: what training learns of it is counted on.
    assert after["noise.residual_updates"] >= before["noise.residual_updates"]


@pytest.mark.parametrize("kind", FLOW_KINDS)
def test_finetuning_on_other_statistics_fits_the_noise_to_them(trained, continued, other_dataset, kind):
    policy = get_policy_class(kind).from_pretrained(last(continued / kind))
    assert policy.noise_problem() is None
    meta = LeRobotDatasetMetadata("test/swinging", root=other_dataset)
    statistics = action_statistics(meta)
    assert policy.noise.fitted_under(statistics)
    fit = fit_noise(normalized_action_episodes(meta, statistics), policy.config.chunk_size, policy.config.noise_beta)
    torch.testing.assert_close(policy.noise.cholesky, torch.from_numpy(fit.cholesky).float())
    before = load_file(trained / kind / "checkpoints" / f"{STEPS:06d}" / "pretrained_model" / "model.safetensors")
    assert not torch.allclose(before["noise.cholesky"], policy.noise.cholesky, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_finetuning_takes_over_the_new_datasets_facts(continued, other_dataset, kind):
    config = get_policy_class(kind).from_pretrained(last(continued / kind)).config
    maximum = LeRobotDatasetMetadata("test/swinging", root=other_dataset).stats["observation.state"]["max"]
    assert config.state_max == pytest.approx(maximum.tolist())


def test_the_policies_are_found_without_the_plugin(dataset, tmp_path):
    """LeRobot takes the flag under any name but --policy, whose flags it hands on to the policy as well."""
    found = "--plugin.discover_packages_path=prana_ros.policies"
    first = "prana_v1"
    checkpoint = last(tmp_path / first)
    finetune = ["lerobot_train", found, f"--policy.path={checkpoint}", "--policy.push_to_hub=false", *data(dataset)]
    run_lerobot(
        *(train(kind, dataset, tmp_path / kind, 1, found) for kind in KINDS),
        [*finetune, f"--output_dir={tmp_path / 'finetuned'}", "--steps=1", *RUN],
        PRANA_TEST_NO_PLUGIN="1",
    )
    for run in (*KINDS, "finetuned"):
        assert (last(tmp_path / run) / "model.safetensors").is_file()
