"""Real training runs, by this project's script and by stock lerobot-train."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support.policies import swinging_dataset

ROOT = Path(__file__).parents[2]
TINY = [
    "--policy.type=prana_v2",
    "--policy.device=cpu",
    "--policy.push_to_hub=false",
    "--policy.backbone=small_cnn",
    "--policy.freeze_backbone=false",
    "--policy.image_size=32",
    "--policy.dim=16",
    "--policy.num_heads=2",
    "--policy.num_context_layers=1",
    "--policy.num_decoder_layers=1",
    "--policy.chunk_size=8",
    "--policy.n_action_steps=8",
    "--policy.flow_samples_per_context=2",
    "--policy.scheduler_warmup_steps=1",
    "--batch_size=4",
    "--steps=4",
    "--save_freq=2",
    "--num_workers=0",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("training") / "swinging"
    swinging_dataset(root, lengths=(12, 10), video=True)
    return root


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.mark.timeout(1200)
def test_train_writes_a_checkpoint_and_resumes_it(dataset, tmp_path):
    output = tmp_path / "run"
    train = [sys.executable, "training/train.py", "--threads=1"]
    where = ["--dataset.repo_id=test/swinging", f"--dataset.root={dataset}", f"--output_dir={output}"]
    log = run(*train, *where, *TINY)
    assert "Decoding frames" in log
    checkpoint = output / "checkpoints" / "last" / "pretrained_model"
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["fps"] == 10
    assert config["joint_names"][0] == "shoulder_pan"
    assert bool(load_file(checkpoint / "model.safetensors")["noise.noise_is_fitted"])

    log = run(*train, f"--config_path={checkpoint / 'train_config.json'}", "--resume=true", "--steps=6")
    assert "Decoding frames" not in log
    last = (output / "checkpoints" / "last").resolve().name
    assert int(last) == 6


@pytest.mark.timeout(1200)
def test_stock_lerobot_train_trains_the_policy_through_the_plugin(dataset, tmp_path):
    lerobot_train = Path(sys.executable).with_name("lerobot-train")
    run(
        str(lerobot_train),
        "--dataset.repo_id=test/swinging",
        f"--dataset.root={dataset}",
        "--dataset.video_backend=pyav",
        f"--output_dir={tmp_path / 'run'}",
        *TINY,
    )
    checkpoint = tmp_path / "run" / "checkpoints" / "last" / "pretrained_model"
    assert bool(load_file(checkpoint / "model.safetensors")["noise.noise_is_fitted"])
