"""`prana check` on damaged checkpoints: each damage is one sentence, and what is not damaged passes."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from lerobot.configs.types import NormalizationMode
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import load_file, save_file
from support.checkpoints import save_act, save_diffusion, save_prana, statistics
from support.policies import NAMES

from prana_ros.cli import main
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.checkpoint_folder import checkpoint_folder

SAVE = {"prana": save_prana, "act": save_act, "diffusion": save_diffusion}
TOLD = ("--joint-names", ",".join(NAMES), "--units", "degrees", "--fps", "10")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
NORMALIZER = "policy_preprocessor_step_3_normalizer_processor.safetensors"
UNNORMALIZER = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
WRIST = "observation.images.wrist"
FIRST_TENSOR = {
    "prana": "network.decoder.action_in.weight",
    "act": "model.action_head.bias",
    "diffusion": "diffusion.unet.final_conv.1.weight",
}
Damage = Callable[[Path], None]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, Path]:
    return {kind: save(tmp_path_factory.mktemp(kind) / "checkpoint") for kind, save in SAVE.items()}


def check(folder: Path | str, capsys) -> tuple[int, str]:
    """Exit code, and all that a user reads."""
    with pytest.raises(SystemExit) as ending:
        main(["check", str(folder), *TOLD])
    output = capsys.readouterr().out
    return (1, str(ending.value.code)) if isinstance(ending.value.code, str) else (ending.value.code, output)


def edited(file: str, change: Callable[[dict[str, Any]], Any]) -> Damage:
    """A damage to a JSON file."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        change(content)
        (folder / file).write_text(json.dumps(content))

    return damage


def tensors(file: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """A damage to a file of tensors."""

    def damage(folder: Path) -> None:
        content = load_file(folder / file)
        change(content)
        save_file(content, folder / file, metadata={"format": "pt"})

    return damage


def both(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """A damage to the statistics of both pipelines."""

    def damage(folder: Path) -> None:
        tensors(NORMALIZER, change)(folder)
        tensors(UNNORMALIZER, change)(folder)

    return damage


def prefix(content: dict[str, torch.Tensor]) -> None:
    for name in list(content):
        content[f"so100.buffer.{name}"] = content.pop(name)


def without(start: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(content: dict[str, torch.Tensor]) -> None:
        for name in [name for name in content if name.startswith(start)]:
            del content[name]

    return change


def filled(name: str, value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(content: dict[str, torch.Tensor]) -> None:
        for key in [key for key in content if key == name or (name == "" and key.startswith("action."))]:
            content[key] = torch.full_like(content[key], value)

    return change


def shortened(start: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(content: dict[str, torch.Tensor]) -> None:
        for name in [name for name in content if name.startswith(start)]:
            content[name] = content[name][:5].clone()

    return change


def steps(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(step for step in content["steps"] if step["registry_name"] == name)


def remove_step(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["steps"].remove(steps(content, name))


def set_mode(name: str, mode: str, kind: str = "ACTION") -> Callable[[dict[str, Any]], None]:
    return lambda content: steps(content, name)["config"]["norm_map"].update({kind: mode})


def all_modes(mode: str) -> Damage:
    """The same mode for the action everywhere, with the statistics of another."""

    def damage(folder: Path) -> None:
        edited(CONFIG, lambda content: content["normalization_mapping"].update(ACTION=mode))(folder)
        edited(PRE, set_mode("normalizer_processor", mode))(folder)
        edited(POST, set_mode("unnormalizer_processor", mode))(folder)

    return damage


def image(change: Callable[[dict[str, Any]], Any]) -> Damage:
    return edited(CONFIG, lambda content: change(content["input_features"]))


def nan_weight(folder: Path) -> None:
    def change(content: dict[str, torch.Tensor]) -> None:
        name = next(name for name in FIRST_TENSOR.values() if name in content)
        content[name].flatten()[0] = torch.nan

    tensors(WEIGHTS, change)(folder)


def pointer(file: str) -> Damage:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n"
    return lambda folder: (folder / file).write_text(text) and None


def adapter(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "lerobot/smolvla_base"}')


def before_processors(folder: Path) -> None:
    for file in (PRE, POST):
        (folder / file).unlink()
    tensors(WEIGHTS, lambda content: content.update({"normalize_inputs.buffer_action.mean": torch.zeros(6)}))(folder)


MODE = "(MEAN_STD|MIN_MAX)"
DAMAGES: dict[str, tuple[Damage, str]] = {
    "statistics under a prefix": (
        both(prefix),
        rf"{UNNORMALIZER} has no action\.\w+ and no action\.\w+, which mode {MODE} needs; it has "
        r"so100\.buffer\.action\.\w+, so100\.buffer\.action\.\w+: rename those of this arm's data",
    ),
    "no action statistics": (both(without("action.")), rf"{UNNORMALIZER} has no action\.\w+ and no action"),
    "no action statistics before": (tensors(NORMALIZER, without("action.")), rf"{NORMALIZER} has no action\.\w+"),
    "no state statistics": (
        tensors(NORMALIZER, without("observation.state.")),
        rf"{NORMALIZER} has no observation\.st",
    ),
    "no unnormalizer": (
        edited(POST, remove_step("unnormalizer_processor")),
        rf"{POST} has no unnormalizer_processor step, but config\.json says action in mode {MODE}: use the",
    ),
    "no normalizer": (edited(PRE, remove_step("normalizer_processor")), rf"{PRE} has no normalizer_processor step"),
    "no state file": (
        edited(POST, lambda content: steps(content, "unnormalizer_processor").pop("state_file")),
        rf'names no state_file, so that there are no statistics for action in mode .*"state_file": "{UNNORMALIZER}"',
    ),
    "no file of statistics": (lambda folder: (folder / UNNORMALIZER).unlink(), f"{UNNORMALIZER}, which is not there"),
    "another mode after": (
        edited(POST, set_mode("unnormalizer_processor", "QUANTILES")),
        rf"{POST} has action in mode QUANTILES, but config\.json in {MODE}",
    ),
    "identity before": (
        edited(PRE, set_mode("normalizer_processor", "IDENTITY", "STATE")),
        rf"{PRE} has observation\.state in mode IDENTITY, but config\.json in {MODE}",
    ),
    "state left out": (
        edited(PRE, lambda c: steps(c, "normalizer_processor")["config"]["features"].pop("observation.state")),
        r"has observation\.state in mode IDENTITY",
    ),
    "quantiles without quantiles": (
        all_modes("QUANTILES"),
        r"has no action\.q01 and no action\.q99, which mode QUANTILES needs; of action it has max, mean, min, std",
    ),
    "statistics of two datasets": (
        tensors(UNNORMALIZER, lambda c: c.update({name: c[name] + 1 for name in c if name.startswith("action.m")})),
        rf"action\.\w+ differs: .* in {NORMALIZER}, .* in {UNNORMALIZER}",
    ),
    "nan statistics": (both(filled("", float("nan"))), r"has action\.\w+ with the value nan; it must be finite"),
    "five statistics": (both(shortened("action.")), r"has action\.\w+ of shape \(5,\), but action has \(6,\)"),
    "nan weights": (nan_weight, r"are not finite: tensor '(network|model|diffusion)\."),
    "channels last": (
        image(lambda inputs: inputs[WRIST].update(shape=[48, 64, 3])),
        r"has the shape \[48, 64, 3\] for .*wrist; channels first is needed: \[3, 48, 64\]",
    ),
    "image without prefix": (
        image(lambda inputs: inputs.update(wrist=inputs.pop(WRIST))),
        r"has the image 'wrist'; LeRobot passes it on only under a name like observation\.images\.wrist",
    ),
    "names of an image": (
        image(lambda inputs: inputs[WRIST].update(names=None)),
        rf"has names in {WRIST}, which LeRobot does not read there; remove it",
    ),
    "radians": (
        edited(CONFIG, lambda content: content.update(units="radians")),
        "has units 'radians'; LeRobot's units are needed, one of degrees, m100_100",
    ),
    "pointer to weights": (pointer(WEIGHTS), rf"{WEIGHTS}' is only Git LFS's pointer to the file: run git lfs pull in"),
    "pointer to statistics": (pointer(NORMALIZER), rf"{NORMALIZER}' is only Git LFS's pointer"),
    "adapter": (
        adapter,
        r"only an adapter \(adapter_config\.json, adapter_model\.safetensors\) for 'lerobot/smolvla_base': merge it",
    ),
    "before processors": (
        before_processors,
        r"python -m lerobot\.processor\.migrate_policy_normalization --pretrained-path \S+ and give \S+_migrated",
    ),
    "no steps": (edited(POST, lambda content: content.pop("steps")), rf"{POST} of checkpoint .* has no list of steps"),
}


def damaged(source: Path, target: Path, damage: Damage) -> Path:
    shutil.copytree(source, target)
    damage(target)
    return target


@pytest.mark.parametrize("kind", SAVE)
def test_a_sound_checkpoint_passes(sound, kind, capsys):
    code, output = check(sound[kind], capsys)
    assert code == 0, output


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_one_sentence(sound, kind, name, tmp_path, capsys):
    damage, sentence = DAMAGES[name]
    code, output = check(damaged(sound[kind], tmp_path / "c", damage), capsys)
    assert code == 1
    assert re.search(sentence, output), output


def test_an_infinite_deviation_and_a_negative_one_are_told(sound, tmp_path, capsys):
    for value, sentence in ((float("inf"), "with the value inf; it must be finite"), (-1.0, "must not be negative")):
        folder = damaged(sound["act"], tmp_path / str(value), both(filled("action.std", value)))
        assert sentence in check(folder, capsys)[1]


def test_a_failure_that_no_file_shows_is_found_by_the_trial(sound, tmp_path, capsys):
    """Finite numbers whose product is none."""
    damage = both(filled("action.std", 3e38))
    code, output = check(damaged(sound["act"], tmp_path / "c", damage), capsys)
    assert code == 1
    assert "does not fit  In a trial prediction, the policy returns positions that are not finite for" in output


HARMLESS: dict[str, tuple[str, Damage]] = {
    "prana without image statistics": ("prana", tensors(NORMALIZER, without("observation.images."))),
    "a joint that never moved": ("act", both(lambda c: c["action.std"].__setitem__(4, 0.0))),
    "more than is needed": ("act", both(lambda c: c.update({"so100.buffer.action.mean": torch.zeros(6)}))),
    "a postprocessor for mps": (
        "act",
        edited(POST, lambda content: steps(content, "device_processor")["config"].update(device="mps")),
    ),
    "another config for mps": ("act", edited(CONFIG, lambda content: content.update(device="mps"))),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_does_no_harm_is_not_refused(sound, name, tmp_path, capsys):
    kind, change = HARMLESS[name]
    code, output = check(damaged(sound[kind], tmp_path / "c", change), capsys)
    assert code == 0, output


@pytest.mark.parametrize("mode", ["QUANTILES", "QUANTILE10", "MIN_MAX"])
def test_every_mode_of_lerobot_passes_with_its_statistics(sound, mode, tmp_path, capsys):
    folder = tmp_path / "c"
    shutil.copytree(sound["act"], folder)
    policy = load_policy(folder, "cpu").policy
    config = policy.config
    config.normalization_mapping = dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode(mode))
    config.save_pretrained(folder)
    stats = statistics()
    for of in stats.values():
        of |= {"q01": of["min"], "q99": of["max"], "q10": of["min"], "q90": of["max"]}
    for processor in make_pre_post_processors(config, dataset_stats=stats):
        processor.save_pretrained(folder)
    code, output = check(folder, capsys)
    assert code == 0, output


@pytest.mark.parametrize("given", ["mine", "mine/checkpoints"])
def test_a_training_run_is_answered_with_its_last_checkpoint(sound, given, tmp_path, capsys):
    run = tmp_path / "mine"
    last = run / "checkpoints" / "last" / "pretrained_model"
    for step in ("000100", "last"):
        shutil.copytree(sound["act"], run / "checkpoints" / step / "pretrained_model")
    assert f"give one of them, {str(last)!r}" in check(tmp_path / given, capsys)[1]
    shutil.rmtree(run / "checkpoints" / "last")
    assert "000100/pretrained_model'" in check(tmp_path / given, capsys)[1]


def test_a_file_is_answered_with_its_folder(sound, capsys):
    path = sound["act"] / WEIGHTS
    assert f"is a file; give the folder that holds it, {sound['act']}" in check(path, capsys)[1]


def test_a_name_on_the_hub_is_loaded_from_the_cache_or_the_download_is_named(sound, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a look at the network"))
    assert "download it first: hf download someone/policy" in check("someone/policy", capsys)[1]
    model = tmp_path / "models--someone--policy"
    shutil.copytree(sound["act"], model / "snapshots" / "0123abcd")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123abcd")
    assert checkpoint_folder("someone/policy").name == "0123abcd"
    (model / "snapshots" / "0123abcd" / WEIGHTS).unlink()
    assert (
        "model.safetensors missing. It can be downloaded again: hf download someone/policy"
        in check("someone/policy", capsys)[1]
    )
