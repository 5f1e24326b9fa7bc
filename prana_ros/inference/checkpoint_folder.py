"""Find a checkpoint's folder, here or in the Hub's cache, and say what a folder holds that is not a checkpoint."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME
from safetensors import SafetensorError, safe_open

from prana_ros.policies.chunk_policy import WEIGHTS_FILE

CONFIG = "config.json"
PREPROCESSOR = f"{POLICY_PREPROCESSOR_DEFAULT_NAME}.json"
POSTPROCESSOR = f"{POLICY_POSTPROCESSOR_DEFAULT_NAME}.json"
_FILES = (CONFIG, WEIGHTS_FILE, PREPROCESSOR, POSTPROCESSOR)
_PRETRAINED = "pretrained_model"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_LFS_POINTER = b"version https://git-lfs"
_OLD_NORMALIZATION = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")
"""Tensors in which LeRobot kept statistics before it had processors."""


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded; the message is one sentence for the user."""


def checkpoint_folder(path: str | Path) -> Path:
    """The folder with the checkpoint's files: ``path``, its ``pretrained_model``, or one in the Hub's local cache.

    Nothing is downloaded.

    Raises:
        CheckpointError: if it is not there or incomplete.
    """
    if not str(path):
        raise CheckpointError("policy_path is empty: give the folder of a LeRobot checkpoint.")
    folder = Path(path).expanduser()
    if folder.is_file():
        raise CheckpointError(f"policy_path {str(path)!r} is a file; give the folder that holds it, {folder.parent}.")
    download = ""
    if not folder.is_dir():
        folder, download = _cached(str(path)), f" It can be downloaded again: hf download {path}"
    if not (folder / CONFIG).is_file() and (folder / _PRETRAINED).is_dir():
        folder = folder / _PRETRAINED
    _refuse_incomplete(folder, str(path), download)
    _refuse_pointers(folder)
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a checkpoint's file.

    Raises:
        CheckpointError: if there is none.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} is not a JSON file: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{str(path)!r} must hold a JSON object, got {type(content).__name__}.")
    return content


def one_line(error: Exception) -> str:
    """The error's text on one line, with its first cause where the text leaves that out, as a parser's does."""
    text = " ".join(str(error).split()) or type(error).__name__
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = " ".join(str(cause).split())
    return text if reason in text else f"{text} {reason}"


def _cached(name: str) -> Path:
    """The folder of a model in the Hub's cache on this machine."""
    if not _HUB_NAME.fullmatch(name):
        raise CheckpointError(f"policy_path {name!r} is not a folder here; download a checkpoint from a hub first.")
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"policy_path {name!r} is neither a folder here nor in the Hub's cache on this machine; if it is a name on "
            f"the Hub, download it first: hf download {name}"
        ) from error


def _refuse_incomplete(folder: Path, path: str, download: str) -> None:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if not missing:
        return
    if CONFIG in missing and (found := _training_output(folder)):
        raise CheckpointError(f"policy_path {path!r} holds training's checkpoints; give one of them, {str(found)!r}.")
    if WEIGHTS_FILE in missing and (adapters := [name for name in _ADAPTER_FILES if (folder / name).is_file()]):
        raise CheckpointError(
            f"policy_path {path!r} holds only an adapter ({', '.join(adapters)}){_base_model(folder)}: merge it into "
            "the policy that it adapts with PEFT's merge_and_unload() and save that."
        )
    if PREPROCESSOR in missing and _has_old_normalization(folder / WEIGHTS_FILE):
        raise CheckpointError(
            f"policy_path {path!r} was saved before LeRobot had processors, with its statistics among the weights: run "
            f"python -m lerobot.processor.migrate_policy_normalization --pretrained-path {folder} and give "
            f"{folder}_migrated."
        )
    raise CheckpointError(f"policy_path {path!r} is not a LeRobot checkpoint: {', '.join(missing)} missing.{download}")


def _training_output(folder: Path) -> Path | None:
    """The newest checkpoint in a training run's folder, or in its ``checkpoints``."""
    for parent in (folder / "checkpoints", folder):
        last = parent / "last" / _PRETRAINED
        steps = sorted(parent.glob(f"[0-9]*/{_PRETRAINED}"))
        if last.is_dir() or steps:
            return last if last.is_dir() else steps[-1]
    return None


def _base_model(folder: Path) -> str:
    config = folder / _ADAPTER_FILES[0]
    name = read_json(config).get("base_model_name_or_path") if config.is_file() else None
    return f" for {name!r}" if name else ""


def _has_old_normalization(weights: Path) -> bool:
    try:
        with safe_open(weights, framework="pt") as file:
            return any(name.startswith(_OLD_NORMALIZATION) for name in file.keys())  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError):
        return False


def _refuse_pointers(folder: Path) -> None:
    for file in sorted((*folder.glob("*.safetensors"), *folder.glob("*.json"))):
        with file.open("rb") as content:
            if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise CheckpointError(
                    f"{str(file)!r} is only Git LFS's pointer to the file: run git lfs pull in {str(folder)!r}."
                )
