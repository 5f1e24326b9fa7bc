"""Train a policy: LeRobot's trainer and flags, with defaults for this project and frames decoded only once.

    python training/train.py --policy.type=prana_v2 --dataset.repo_id=local/demos --dataset.root=outputs/demos \\
        --steps=20000 --batch_size=32 --output_dir=outputs/train/demos

Added to LeRobot's flags:

    --frame_cache=DIR            where the decoded frames are kept; default beside the dataset; ``none``: decode in
                                 every step
    --frame_cache_size=PIXELS    for policies other than PRANA's, which have no cache without it: images are squares of
                                 this size, and so are the policy's inputs
    --frame_cache_device=DEVICE  where the frames are held; ``none``: in their file, memory-mapped; default: the GPU
                                 that trains if they fit into half of its free memory, otherwise ``none``
    --threads=N                  PyTorch threads; default: as many as PyTorch takes
    --mixed_precision=bf16       matrix products in bfloat16, weights in float32, as ``accelerate launch`` has it; on
                                 processors that know bfloat16 half as quick again

Written beside LeRobot's checkpoints: ``metrics.jsonl`` in the output folder, ``plots/`` in each checkpoint.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from draccus import ParsingError
from draccus.wrappers import docstring
from lerobot.configs import parser
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.utils import cycle
from lerobot.scripts import lerobot_train
from torch.utils.data import DataLoader, Dataset

import prana_ros.policies.registration  # noqa: F401 (LeRobot then knows the policies)
from prana_ros.datasets.cached_dataset import CachedDataset
from prana_ros.learning.dataset_description import describe
from prana_ros.learning.training_data import FrameOptions, make_training_dataset
from prana_ros.learning.training_report import TrainingReport, replaced

PRECISIONS = ("no", "bf16")

DEFAULTS = {
    "dataset.video_backend": "pyav",
    "policy.push_to_hub": "false",
    "wandb.enable": "false",
    "eval_freq": "0",
    "log_freq": "50",
}


def _take(arguments: list[str], name: str) -> str | None:
    """Remove --name=value from the arguments and return its value."""
    value = parser.parse_arg(name, arguments)
    arguments[:] = [a for a in arguments if not a.startswith(f"--{name}=")]
    return value


def _take_number(arguments: list[str], name: str) -> int | None:
    value = _take(arguments, name)
    if value is not None and not (value.isdecimal() and int(value) > 0):
        raise SystemExit(f"train: --{name} is {value!r}; allowed: a whole number above 0")
    return None if value is None else int(value)


def _set_mixed_precision(name: str) -> None:
    """Tell Accelerate, which LeRobot's trainer gives no precision of its own."""
    if name not in PRECISIONS:
        raise SystemExit(f"train: --mixed_precision is {name!r}; allowed: {', '.join(PRECISIONS)}")
    os.environ["ACCELERATE_MIXED_PRECISION"] = name


def _with_defaults(arguments: list[str]) -> list[str]:
    """The arguments plus our defaults for what they leave open. A resumed run keeps what it was started with."""
    if parser.parse_arg("config_path", arguments):
        return arguments
    given = {a.split("=", 1)[0].removeprefix("--") for a in arguments}
    without_policy = not any(name.startswith("policy.") for name in given)  # LeRobot says that; a default would hide it
    return arguments + [
        f"--{name}={value}"
        for name, value in DEFAULTS.items()
        if name not in given and not (without_policy and name.startswith("policy."))
    ]


def _require_checkpoint(arguments: list[str]) -> None:
    """Refuse a path that is neither here nor like a repo id: LeRobot would look for it on the hub."""
    for name in ("policy.path", "config_path"):
        value = parser.parse_arg(name, arguments)
        if value is not None and not Path(value).exists() and value.count("/") != 1:
            raise SystemExit(f"train: --{name} is {value!r}; allowed: what exists here, or a repo id like owner/policy")


def _without_help_texts(*_: Any) -> docstring.AttributeDocString:
    """What the parser collects for --help from the source of every class: most of the time that a start takes."""
    return docstring.AttributeDocString()


def _sentence(error: BaseException) -> str:
    """An error on one line. The parser wraps those of options in others that only say which class it was making."""
    while (cause := error.__cause__) and (type(error) is ParsingError or isinstance(cause, ParsingError)):
        error = cause
    return " ".join(str(error).split())


def _given(arguments: list[str]) -> set[str]:
    """The names of the flags, a resumed run's as ``resume`` alone: it goes on with what it began with."""
    names = {a.split("=", 1)[0].removeprefix("--") for a in arguments if a.startswith("--")}
    return names if parser.parse_arg("resume", arguments) == "true" else names - {"resume"}


def _say_what_it_is(dataset_meta: Any, policy: PreTrainedConfig, flags: set[str]) -> None:
    """Print what training takes the dataset to be, and what speaks against it."""
    description = describe(dataset_meta, policy, flags)
    if not PartialState().is_main_process:
        return
    print("The dataset, as this training takes it:", *description.lines, sep="\n  ", flush=True)
    for warning in description.warnings:
        print(f"train: warning: {warning}", file=sys.stderr, flush=True)


def _batches(dataloader: DataLoader) -> Iterator[dict[str, Any]]:
    """LeRobot's endless batches, with images from the device that holds them."""
    for batch in cycle(dataloader):
        yield dataloader.dataset.with_images(batch) if isinstance(dataloader.dataset, CachedDataset) else batch


def main() -> None:
    """Read our own flags, then hand over to LeRobot's trainer.

    Raises:
        SystemExit: with one sentence, for what is refused before the first step.
    """
    arguments = sys.argv[1:]
    if asks_for_help := not {"-h", "--help"}.isdisjoint(arguments):
        print(__doc__)
    options = FrameOptions(
        _take(arguments, "frame_cache"),
        _take_number(arguments, "frame_cache_size"),
        _take(arguments, "frame_cache_device"),
    )
    threads = _take_number(arguments, "threads")
    if threads is not None:
        torch.set_num_threads(threads)
    workers_given = any(parser.parse_arg(name, arguments) for name in ("num_workers", "config_path"))
    if (precision := _take(arguments, "mixed_precision")) is not None:
        _set_mixed_precision(precision)
    _require_checkpoint(arguments)
    given = _given(arguments)
    sys.argv[1:] = _with_defaults(arguments)
    report = TrainingReport()

    def make_dataset(cfg: TrainPipelineConfig) -> Dataset:
        dataset = make_training_dataset(cfg, options)
        _say_what_it_is(dataset.meta, cfg.policy, given)
        if isinstance(dataset, CachedDataset) and not workers_given:
            cfg.num_workers = 0  # a batch is a few copies from memory: worker processes only cost
        report.starts_with(cfg, dataset)
        return dataset

    help_texts = {} if asks_for_help else {"get_attribute_docstring": _without_help_texts}
    with (
        closing(report),
        replaced(docstring, **help_texts),
        replaced(lerobot_train, make_dataset=make_dataset, cycle=_batches, **report.hooks()),
    ):
        try:
            lerobot_train.main()
        except (ParsingError, parser.PluginLoadError, ValueError, OSError, RuntimeError) as error:
            if report.has_started:  # then it is no request that was wrong, and the traceback tells where it happened
                raise
            raise SystemExit(f"train: {_sentence(error)}") from error


if __name__ == "__main__":
    main()
