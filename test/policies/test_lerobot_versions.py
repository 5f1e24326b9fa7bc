"""Checkpoints between LeRobot 0.5, on which the tests run, and 0.6, on which `make test-lerobot-0.6` runs them."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs.policies import PreTrainedConfig
from support.checkpoints import save_prana
from support.one_chunk import predict
from support.policies import FLOW_KINDS, KINDS, tiny_policy

pytestmark = pytest.mark.usefixtures("starts_processes")

TEST = Path(__file__).parents[1]
LEROBOT_0_6_CONFIG = Path(__file__).with_name("data") / "lerobot_0_6_config.json"
"""The config.json of a PRANA v2 that LeRobot 0.6.1 has saved."""

on_lerobot_0_6 = pytest.mark.skipif(
    version("lerobot").startswith("0.5"), reason="needs LeRobot 0.6: make test-lerobot-0.6"
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def on_lerobot_0_5(*arguments: str | Path) -> None:
    """Run `support.one_chunk` on the LeRobot of the environment, whatever stands before it in the Python path."""
    command = [sys.executable, "-m", "support.one_chunk", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(TEST)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("0.5.")


def test_a_configuration_saved_by_lerobot_0_6_is_read(tmp_path):
    checkpoint = save_prana(tmp_path / "checkpoint")
    before = predict(checkpoint)
    (checkpoint / "config.json").write_text(LEROBOT_0_6_CONFIG.read_text())
    np.testing.assert_array_equal(predict(checkpoint), before)


@on_lerobot_0_6
def test_the_stored_configuration_has_all_that_lerobot_0_6_saves(tmp_path):
    saved = json.loads((save_prana(tmp_path / "checkpoint") / "config.json").read_text())
    lerobots = {name for name in saved if name in PreTrainedConfig.__dataclass_fields__}
    assert "pretrained_revision" in lerobots
    assert lerobots <= set(json.loads(LEROBOT_0_6_CONFIG.read_text()))


@on_lerobot_0_6
@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_lerobot_0_6_gives_the_same_chunk_on_0_5(tmp_path, kind):
    checkpoint = save_prana(tmp_path / "checkpoint", kind)
    on_lerobot_0_5("predict", checkpoint, tmp_path / "chunk.npy")
    np.testing.assert_allclose(np.load(tmp_path / "chunk.npy"), predict(checkpoint), atol=1e-4)


@on_lerobot_0_6
@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_lerobot_0_5_gives_the_same_chunk_on_0_6(tmp_path, kind):
    on_lerobot_0_5("save", kind, tmp_path / "checkpoint")
    same = save_prana(tmp_path / "same", kind)
    np.testing.assert_allclose(predict(tmp_path / "checkpoint"), predict(same), atol=1e-4)


@on_lerobot_0_6
@pytest.mark.parametrize("kind", KINDS)
def test_lerobots_real_time_chunking_takes_the_flow_policies(kind):
    from lerobot.rollout.inference.rtc import supports_rtc_inference

    assert supports_rtc_inference(tiny_policy(kind)) == (kind in FLOW_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_spread_over_gpus_are_refused(tmp_path, kind):
    with pytest.raises(ValueError, match="cannot average weights that FSDP spreads over GPUs; allowed: DDP"):
        tiny_policy(kind)._save_pretrained(tmp_path, state_dict={})
