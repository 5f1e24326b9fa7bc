"""Training samples a second of v2, with frames decoded in every step as LeRobot does and from the frame cache.

The dataset is made first: a few demonstrations on the twin. What is timed is LeRobot's own step (data loader,
preprocessor, ``update_policy``). The data loading is also timed alone, with the model removed: its rate against that of
training says whether it limits. On a CPU the full-size v2 takes minutes for a batch of 64, so few of its steps are
timed, and losses are compared on the demo's small v2.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from lerobot.configs.default import DatasetConfig
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.utils import cycle
from lerobot.optim.factory import make_optimizer_and_scheduler
from lerobot.policies.factory import make_policy, make_pre_post_processors
from lerobot.scripts.lerobot_train import update_policy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from torch.utils.data import DataLoader, Dataset

from benchmarks.harness import Figure, at_most, write_result
from prana_ros import resources
from prana_ros.datasets.cached_dataset import CachedDataset
from prana_ros.datasets.demonstrations import Recording, make_demonstrations
from prana_ros.learning.training_data import NOWHERE, FrameOptions, make_training_dataset
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config
from prana_ros.simulation.scene import scene_distribution

EPISODES = 6
BATCH_SIZES = (8, 64)
LOADERS = {"decoding, no workers": (False, 0), "decoding, 2 workers": (False, 2), "fast path": (True, 0)}
GAIN_ON_A_GPU = 5.0
LOADING_MARGIN = 10.0
LOSS_TOLERANCE = 5.0
SEEDS = (0, 1, 2)


def full_size(device: str) -> PranaV2Config:
    """PRANA v2 with its defaults; random weights take as long as trained ones."""
    return PranaV2Config(device=device, push_to_hub=False, pretrained_backbone=False)


def small(device: str) -> PranaV2Config:
    """The demo's policy as its checkpoint has it, to be trained anew, with a schedule for fewer steps."""
    demo = PreTrainedConfig.from_pretrained(resources.packaged("checkpoints", "twin_v2"))
    return replace(
        demo,
        device=device,
        input_features={},
        output_features={},
        random_crop={},
        random_rotation={},
        color_jitter={},
        scheduler_warmup_steps=20,
    )


class Training:
    """A policy in training on a dataset, stepped as LeRobot's trainer steps it."""

    def __init__(self, policy: PranaV2Config, root: Path, *, fast: bool, steps: int, dither: bool = False):
        """
        Args:
            dither: change cached frames at random, by up to half a step of their rounding.
        """
        self._dither = torch.Generator().manual_seed(0) if dither else None
        self._cfg = TrainPipelineConfig(
            dataset=DatasetConfig(repo_id="local/throughput", root=str(root), video_backend="pyav"),
            policy=policy,
            steps=steps,
            optimizer=policy.get_optimizer_preset(),
            scheduler=policy.get_scheduler_preset(),
        )
        self._accelerator = Accelerator(step_scheduler_with_optimizer=False, cpu=policy.device == "cpu")
        self._dataset: Dataset = make_training_dataset(self._cfg, FrameOptions(None if fast else NOWHERE))
        module = make_policy(policy, ds_meta=self._dataset.meta)
        self._preprocessor, _ = make_pre_post_processors(policy, dataset_stats=self._dataset.meta.stats)
        optimizer, scheduler = make_optimizer_and_scheduler(self._cfg, module)
        self._policy, self._optimizer, self._scheduler = self._accelerator.prepare(module, optimizer, scheduler)
        meters = {name: AverageMeter(name) for name in ("loss", "grad_norm", "lr", "update_s")}
        self._tracker = MetricsTracker(1, self._dataset.num_frames, self._dataset.num_episodes, meters)

    def batches(self, batch_size: int, workers: int) -> Iterator[dict[str, Any]]:
        """Endless preprocessed batches."""
        loader = DataLoader(
            self._dataset,
            num_workers=workers,
            batch_size=batch_size,
            shuffle=True,
            pin_memory=self._accelerator.device.type == "cuda",
            drop_last=False,
            prefetch_factor=2 if workers else None,
        )
        for batch in cycle(self._accelerator.prepare(loader)):
            yield self._ready(batch)

    def _ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch with its images, preprocessed."""
        if isinstance(self._dataset, CachedDataset):
            batch = self._dataset.with_images(batch)
        if self._dither is not None:
            for camera in self._dataset.meta.camera_keys:
                noise = torch.rand(batch[camera].shape, generator=self._dither) - 0.5
                batch[camera] = (batch[camera] + noise) / 255
        return self._preprocessor(batch)

    def step(self, batch: dict[str, Any]) -> None:
        """One update."""
        update_policy(
            self._tracker,
            self._policy,
            batch,
            self._optimizer,
            self._cfg.optimizer.grad_clip_norm,
            accelerator=self._accelerator,
            lr_scheduler=self._scheduler,
        )

    @torch.no_grad()
    def loss(self) -> float:
        """Mean loss over the dataset, without augmentation, at flow times and noise that are always the same."""
        self._policy.eval()
        torch.manual_seed(0)
        losses = []
        for batch in DataLoader(self._dataset, batch_size=BATCH_SIZES[1]):
            losses.append(self._policy(self._ready(batch))[1]["flow_loss"])
        return float(np.mean(losses))

    def rate(
        self, batches: Iterator[dict[str, Any]], consume: Callable[[dict[str, Any]], Any], seconds: float
    ) -> float:
        """Samples a second over at least ``seconds`` and one batch, not counting the first, for which workers start."""
        first = next(batches)
        if self._accelerator.device.type == "cuda":  # where first calls choose and compile kernels
            consume(first)
            torch.cuda.synchronize()
        samples, start = 0, time.perf_counter()
        while samples == 0 or time.perf_counter() - start < seconds:
            batch = next(batches)
            consume(batch)
            samples += len(batch["action"])
        if self._accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        return samples / (time.perf_counter() - start)


def throughput(name: str, policy: Callable[[], PranaV2Config], root: Path, seconds: float) -> list[Figure]:
    """Figures of training and of loading alone, for each batch size and loader."""
    trainings = {fast: Training(policy(), root, fast=fast, steps=1000) for fast in (False, True)}
    on_gpu = policy().device == "cuda"
    figures = []
    for batch_size in BATCH_SIZES:
        training, loading = {}, {}
        for loader, (fast, workers) in LOADERS.items():
            run = trainings[fast]
            training[loader] = run.rate(run.batches(batch_size, workers), run.step, seconds)
            loading[loader] = run.rate(run.batches(batch_size, workers), lambda _: None, seconds)
            print(f"{name}, batch {batch_size}, {loader}: {training[loader]:.3g} samples/s", flush=True)
        case = f"{name}, batch {batch_size}"
        figures += [Figure(f"{case}: training, {loader}", rate, "samples/s") for loader, rate in training.items()]
        figures += [Figure(f"{case}: loading alone, {loader}", rate, "samples/s") for loader, rate in loading.items()]
        fast_rate = training.pop("fast path")
        gain = fast_rate / max(training.values())
        goal = (f"at least {GAIN_ON_A_GPU:g}", gain >= GAIN_ON_A_GPU) if on_gpu else ("", None)
        figures.append(Figure(f"{case}: gain over the quicker decoding", gain, "times", *goal))
        margin = loading["fast path"] / fast_rate
        goal = (f"at least {LOADING_MARGIN:g}", margin >= LOADING_MARGIN)
        figures.append(Figure(f"{case}: fast loading against training", margin, "times", *goal))
    return figures


def final_losses(device: str, root: Path, steps: int, **path: bool) -> np.ndarray:
    """For each seed the loss after training, over the whole dataset at the same flow times and noise for everybody."""
    losses = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        run = Training(small(device), root, steps=steps, **path)
        batches = run.batches(BATCH_SIZES[0], 0)
        for _ in range(steps):
            run.step(next(batches))
        losses.append(run.loss())
    return np.array(losses)


def loss_figures(device: str, root: Path, steps: int) -> list[Figure]:
    """Losses of both paths from the same seeds, on the same samples in the same order.

    Cached frames are rounded to uint8, and training makes a large difference of a small one within a few hundred steps:
    how large is shown by a third run, whose cached frames are changed by half a step of that rounding.
    """
    decoded = final_losses(device, root, steps, fast=False)
    cached = final_losses(device, root, steps, fast=True)
    dithered = final_losses(device, root, steps, fast=True, dither=True)
    case = f"small v2, batch {BATCH_SIZES[0]}: loss after {steps} steps"
    return [
        Figure(f"{case}, decoding, mean of {len(SEEDS)} seeds", float(decoded.mean()), ""),
        Figure(f"{case}, fast path, mean of {len(SEEDS)} seeds", float(cached.mean()), ""),
        Figure(f"{case}, fast path and dither, mean of {len(SEEDS)} seeds", float(dithered.mean()), ""),
        at_most(f"{case}, decoding and fast path: means", _percent(decoded.mean(), cached.mean()), "%", LOSS_TOLERANCE),
        Figure(f"{case}, decoding and fast path: largest of a seed", _percent(decoded, cached), "%"),
        Figure(f"{case}, fast path and dither: means", _percent(cached.mean(), dithered.mean()), "%"),
        Figure(f"{case}, fast path and dither: largest of a seed", _percent(cached, dithered), "%"),
    ]


def _percent(reference: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the reference."""
    return float(100 * np.abs(other / reference - 1).max())


def main() -> None:
    """Make the dataset, measure, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="where to train: cpu or cuda (default: cpu)")
    parser.add_argument("--seconds", type=float, default=4.0, help="shortest time of one measurement (default: 4)")
    parser.add_argument("--steps", type=int, default=200, help="steps after which losses are compared (default: 200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demonstrations"
        recording = Recording((scene_distribution("standard"),))
        for _ in make_demonstrations(recording, EPISODES, root, "local/throughput"):
            pass
        figures = throughput("small v2", lambda: small(options.device), root, options.seconds)
        figures += throughput("full-size v2", lambda: full_size(options.device), root, options.seconds)
        figures += loss_figures(options.device, root, options.steps)
    write_result(
        "training_throughput",
        figures,
        device=torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        episodes=EPISODES,
        seconds=options.seconds,
    )


if __name__ == "__main__":
    main()
