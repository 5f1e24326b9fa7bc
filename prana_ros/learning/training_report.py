"""What a training run shows and leaves behind, added to LeRobot's trainer.

LeRobot 0.5.1's ``train`` is one function without callbacks. What it calls by the names of its own module is replaced
there: the metrics tracker, the progress bar, the function that saves a checkpoint.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from lerobot.configs.train import TrainPipelineConfig
from lerobot.utils.logging_utils import MetricsTracker
from lerobot.utils.train_utils import save_checkpoint
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from prana_ros.datasets.cached_dataset import CachedDataset
from prana_ros.inference.checkpoint import load_policy
from prana_ros.learning.chunk_samples import action_names, plot_chunks, sample_chunks
from prana_ros.learning.training_log import TrainingLog, plot_loss, read_metrics

logger = logging.getLogger(__name__)

PLOTS_FOLDER = "plots"
SHOWN_FRAMES = 4
SHOWN_SEEDS = range(5)


@contextmanager
def replaced(module: ModuleType, **replacements: Any) -> Iterator[None]:
    """A module with other objects under some of its names, for a while."""
    originals = {name: getattr(module, name) for name in replacements}
    for name, replacement in replacements.items():
        setattr(module, name, replacement)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(module, name, original)


class _Tracker(MetricsTracker):
    """LeRobot's tracker of the training metrics, which tells of every step and before its averages are reset."""

    def __init__(self, *args: Any, report: "TrainingReport", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.__dict__["report"] = report

    def step(self) -> None:
        super().step()
        self.report.show(self)

    def reset_averages(self) -> None:
        self.report.record(self)
        super().reset_averages()

    def line(self) -> dict[str, Any]:
        """Step, averages since the last reset, and training samples a second."""
        values = self.to_dict()
        world = self.accelerator.num_processes if self.accelerator else 1
        seconds = values["update_s"] + values["dataloading_s"]
        return {"step": values.pop("steps"), **values, "samples_per_s": self._batch_size * world / seconds}


class TrainingReport:
    """Progress bar with loss and speed, ``metrics.jsonl`` in the output folder, plots in every checkpoint.

    With several processes the main one reports, and its loss is that of its share of the batch.
    """

    def __init__(self) -> None:
        self._exit = ExitStack()
        self._folder: Path | None = None
        self._dataset: Dataset | None = None
        self._bar: tqdm | None = None
        self._log: TrainingLog | None = None
        self._tracker: _Tracker | None = None
        self.has_started = False
        """Whether all is set up and the first step comes, or came."""

    def hooks(self) -> dict[str, Any]:
        """What to put in the place of which name of ``lerobot.scripts.lerobot_train``."""
        return {"MetricsTracker": self._make_tracker, "tqdm": self._make_bar, "save_checkpoint": self._save_and_plot}

    def close(self) -> None:
        """Give the console back to the log."""
        self._exit.close()

    def starts_with(self, cfg: TrainPipelineConfig, dataset: Dataset) -> None:
        """What is trained: the run's configuration after validation, and its dataset."""
        assert cfg.output_dir is not None
        self._folder, self._dataset = cfg.output_dir, dataset

    def show(self, tracker: _Tracker) -> None:
        """Loss and speed at the end of the progress bar."""
        if self._bar is not None:
            line = tracker.line()
            self._bar.set_postfix_str(f"loss {line['loss']:.4g}, {line['samples_per_s']:.3g} samples/s", refresh=False)

    def record(self, tracker: _Tracker) -> None:
        """A line of metrics about the steps since the last one."""
        if self._log is not None and tracker.metrics["loss"].count:
            self._log.append(tracker.line())

    def _make_tracker(self, *args: Any, **kwargs: Any) -> MetricsTracker:
        self.has_started = True
        accelerator = kwargs.get("accelerator")
        if self._tracker is not None or (accelerator is not None and not accelerator.is_main_process):
            return MetricsTracker(*args, **kwargs)  # of an evaluation between, or of a process that does not report
        assert self._folder is not None
        self._tracker = _Tracker(*args, report=self, **kwargs)
        self._log = TrainingLog(self._folder, self._tracker.steps)
        return self._tracker

    def _make_bar(self, *args: Any, **kwargs: Any) -> tqdm:
        self._exit.enter_context(logging_redirect_tqdm())
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.INFO)  # which the redirection forgets
        self._bar = tqdm(*args, **kwargs)
        return self._bar

    def _save_and_plot(self, checkpoint_dir: Path, **arguments: Any) -> None:
        save_checkpoint(checkpoint_dir=checkpoint_dir, **arguments)
        if self._tracker is not None:
            self._tracker.reset_averages()
        try:
            self._plot(checkpoint_dir, arguments["cfg"])
        except Exception as error:  # hours of training must not end because of an image
            logger.warning("no plots of checkpoint %s: %s", checkpoint_dir.name, error)

    def _plot(self, checkpoint: Path, cfg: TrainPipelineConfig) -> None:
        assert self._log is not None
        assert cfg.policy is not None
        folder = checkpoint / PLOTS_FOLDER
        folder.mkdir(exist_ok=True)
        plot_loss(read_metrics(self._log.path), folder / "loss.png")
        if cfg.dataset.streaming or cfg.peft is not None:
            return  # no items by number, or weights that do not stand alone
        with torch.random.fork_rng():  # training goes on as if nothing had been drawn
            plot_training_chunks(checkpoint, str(cfg.policy.device), self._dataset, folder / "chunks.png")


def plot_training_chunks(checkpoint: Path, device: str, dataset: Any, path: Path) -> None:
    """Predictions of a checkpoint, as it would be deployed, for a few frames spread over the training data."""
    policy = load_policy(checkpoint, device)
    rows = np.linspace(0, len(dataset) - 1, SHOWN_FRAMES + 2)[1:-1].round().astype(int).tolist()
    if isinstance(dataset, CachedDataset):
        batch = dataset.batch(rows)
    else:
        batch = default_collate([dataset[row] for row in rows])
    samples = sample_chunks(policy, batch, SHOWN_SEEDS)
    units = policy.spec.units.name.lower() if policy.spec.units else "the dataset's units"
    title = f"checkpoint {checkpoint.name}: {SHOWN_FRAMES} training frames, {len(SHOWN_SEEDS)} predictions, in {units}"
    plot_chunks(samples, action_names(dataset.meta), dataset.meta.fps, title, path)
