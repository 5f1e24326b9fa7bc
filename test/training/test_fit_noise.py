"""The command that refits an existing checkpoint's noise, as a real process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lerobot.policies.factory import make_policy, make_pre_post_processors
from safetensors.torch import load_file, save_file
from support.policies import swinging_dataset, tiny_config

from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return swinging_dataset(tmp_path_factory.mktemp("fit") / "swinging")


@pytest.fixture
def checkpoint(dataset, tmp_path) -> Path:
    config = tiny_config()
    config.input_features, config.output_features = {}, {}
    policy = make_policy(config, ds_meta=dataset.meta)
    policy.save_pretrained(tmp_path)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(tmp_path)
    return tmp_path


def fit_noise(dataset: Path, checkpoint: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "training/fit_noise.py", "--dataset", str(dataset), "--checkpoint", str(checkpoint)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.timeout(600)
def test_a_checkpoint_whose_noise_was_lost_gets_it_back(dataset, checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    broken = {
        **weights,
        "noise.noise_is_fitted": torch.tensor(False),
        "noise.cholesky": torch.eye(len(weights["noise.cholesky"])),
        "noise.covariance": torch.eye(len(weights["noise.covariance"])),
    }
    save_file(broken, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert "noise_is_fitted is false" in (PranaV2Policy.from_pretrained(checkpoint).noise_problem() or "")

    done = fit_noise(dataset.root, checkpoint)

    assert done.returncode == 0, done.stderr
    assert "41 chunks" in done.stdout  # 23 whole chunks of 8 in 30 frames, 18 in 25, none in 4
    assert PranaV2Policy.from_pretrained(checkpoint, strict=True).noise_problem() is None
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name])


@pytest.mark.timeout(600)
def test_a_checkpoint_without_processors_is_refused_in_one_sentence(dataset, checkpoint):
    (checkpoint / "policy_preprocessor.json").unlink()
    done = fit_noise(dataset.root, checkpoint)
    assert done.returncode == 1
    assert "no action statistics in its preprocessor" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
