"""The command that refits an existing checkpoint's noise."""

import sys
from pathlib import Path

import pytest
import torch
from lerobot.policies.factory import get_policy_class, make_policy, make_pre_post_processors
from safetensors.torch import load_file, save_file
from support.policies import FLOW_KINDS, swinging_dataset, tiny_config
from support.scripts import load_script

pytestmark = pytest.mark.usefixtures("starts_processes")

NAME = "Siddarth09/PRANA"
fit_noise = load_script("training/fit_noise.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """HF_LEROBOT_HOME with one dataset in it."""
    home = tmp_path_factory.mktemp("lerobot")
    swinging_dataset(home / NAME)
    return home


@pytest.fixture(scope="module")
def dataset(home):
    return swinging_dataset(home.parent / "folder" / "swinging")


def save_checkpoint(kind: str, dataset, folder: Path) -> Path:
    config = tiny_config(kind)
    config.input_features, config.output_features = {}, {}
    policy = make_policy(config, ds_meta=dataset.meta)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(policy.config, dataset_stats=dataset.meta.stats):
        processor.save_pretrained(folder)
    return folder


def lose_noise(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Break the noise of a checkpoint; returns the weights that it had."""
    weights = load_file(checkpoint / "model.safetensors")
    broken = {
        **weights,
        "noise.noise_is_fitted": torch.tensor(False),
        "noise.cholesky": torch.eye(len(weights["noise.cholesky"])),
        "noise.covariance": torch.eye(len(weights["noise.covariance"])),
    }
    save_file(broken, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return weights


@pytest.mark.parametrize("kind", FLOW_KINDS)
def test_a_checkpoint_whose_noise_was_lost_gets_it_back(kind, dataset, tmp_path):
    checkpoint = save_checkpoint(kind, dataset, tmp_path)
    policy_class = get_policy_class(kind)
    weights = lose_noise(checkpoint)
    assert "noise_is_fitted is false" in (policy_class.from_pretrained(checkpoint).noise_problem() or "")

    said = fit_noise.refit(str(dataset.root), checkpoint)

    assert "41 chunks" in said  # 23 whole chunks of 8 in 30 frames, 18 in 25, none in 4
    assert policy_class.from_pretrained(checkpoint, strict=True).noise_problem() is None
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name])


def test_a_second_fit_changes_nothing(dataset, tmp_path):
    checkpoint = save_checkpoint("prana_v2", dataset, tmp_path)
    lose_noise(checkpoint)
    fit_noise.refit(str(dataset.root), checkpoint)
    first = (checkpoint / "model.safetensors").read_bytes()
    fit_noise.refit(str(dataset.root), checkpoint)
    assert (checkpoint / "model.safetensors").read_bytes() == first


def test_a_fit_that_cannot_be_written_leaves_the_checkpoint_as_it_was(dataset, tmp_path, monkeypatch):
    checkpoint = save_checkpoint("prana_v2", dataset, tmp_path)
    before = (checkpoint / "model.safetensors").read_bytes()

    def full_disk(weights, path, **_):
        Path(path).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(fit_noise, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        fit_noise.refit(str(dataset.root), checkpoint)
    assert (checkpoint / "model.safetensors").read_bytes() == before


def test_the_published_command_finds_the_dataset_by_its_name(home, dataset, tmp_path, monkeypatch, capsys):
    for module in ("lerobot.datasets.dataset_metadata", "prana_ros.datasets.opening"):
        monkeypatch.setattr(f"{module}.HF_LEROBOT_HOME", home)
    checkpoint = save_checkpoint("prana_v2", dataset, tmp_path)
    lose_noise(checkpoint)
    monkeypatch.setattr(sys, "argv", ["fit_noise.py", "--dataset", NAME, "--checkpoint", str(checkpoint)])
    assert fit_noise.main() == 0
    assert "noise fitted to 41 chunks" in capsys.readouterr().out
    assert bool(load_file(checkpoint / "model.safetensors")["noise.noise_is_fitted"])


def test_v1_has_no_noise_to_fit(dataset, tmp_path):
    checkpoint = save_checkpoint("prana_v1", dataset, tmp_path)
    with pytest.raises(ValueError, match="a PranaV1Policy has no correlated noise; allowed: a PRANA flow policy"):
        fit_noise.refit(str(dataset.root), checkpoint)


def test_a_checkpoint_without_processors_is_refused(dataset, tmp_path):
    checkpoint = save_checkpoint("prana_v2", dataset, tmp_path)
    (checkpoint / "policy_preprocessor.json").unlink()
    with pytest.raises(ValueError, match="no action statistics in its preprocessor"):
        fit_noise.refit(str(dataset.root), checkpoint)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no/such/folder", "'no/such/folder' is no dataset: give a folder with meta/info.json, or a repo id"),
        ("training", "'training' is no dataset"),
        ("nobody/nothing", "'nobody/nothing' is neither a folder here, nor a dataset in .*, nor one that can be"),
        ("no body/nothing", "'no body/nothing' is neither a folder here"),
    ],
)
def test_an_unknown_dataset_is_one_sentence(name, sentence, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    checkpoint = save_checkpoint("prana_v2", dataset, tmp_path)
    with pytest.raises(ValueError, match=sentence) as refused:
        fit_noise.refit(name, checkpoint)
    assert len(str(refused.value).splitlines()) == 1


def test_an_unknown_checkpoint_is_one_sentence(dataset, tmp_path, capsys, monkeypatch):
    arguments = ["fit_noise", "--dataset", str(dataset.root), "--checkpoint", str(tmp_path / "nothing")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert fit_noise.main() == 1
    said = capsys.readouterr().err.strip()
    assert "nothing is no checkpoint: it has no config.json and no model.safetensors" in said
    assert len(said.splitlines()) == 1
