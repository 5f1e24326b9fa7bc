"""Compare a checkpoint's predictions with recorded episodes, without a robot: error, spread and smoothness by joint.

    python training/evaluate_offline.py outputs/train/run/checkpoints/last --dataset me/my_dataset --episodes 90-99

Any LeRobot policy. The dataset is given by its repo id or its folder. Without --episodes, those are taken that the
checkpoint was not trained on, as its train_config.json tells, or all where it was trained on all.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from prana_ros.datasets.opening import open_dataset
from prana_ros.inference.checkpoint import load_policy
from prana_ros.inference.checkpoint_folder import checkpoint_folder
from prana_ros.learning.chunk_samples import ChunkSamples, action_names, plot_chunks
from prana_ros.learning.offline_evaluation import (
    as_json,
    collect,
    held_out_episodes,
    open_for,
    plot_error,
    summarize_errors,
    table,
    trained_episodes,
)

SHOWN_FRAMES = 4


def episode_list(text: str) -> list[int]:
    """Episodes from text like ``3,7,90-99``."""
    episodes: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or part.endswith("-"):
            raise argparse.ArgumentTypeError(f"{text!r} names no episodes: write for instance 3,7,90-99")
        episodes += range(int(first), int(last or first) + 1)
    return episodes


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def evaluate(options: argparse.Namespace) -> None:
    """Predict, print the table, write JSON and images."""
    folder = checkpoint_folder(options.checkpoint)
    total = open_dataset(options.dataset, download_videos=False).meta.total_episodes
    known = trained_episodes(folder)
    episodes = options.episodes or held_out_episodes(total, known[1] if known else None)
    if known:
        _warn(known[0], known[1], episodes)
    policy = load_policy(folder, options.device)
    dataset = open_for(policy, options.dataset, episodes)
    rows = range(0, len(dataset), options.stride)
    batches = tqdm(collect(policy, dataset, rows, options.seeds), total=-(-len(rows) // 16), unit="batch")
    collected: list[ChunkSamples] = list(batches)
    result = summarize_errors(collected)
    names = action_names(dataset.meta)
    units = policy.spec.units.name.lower() if policy.spec.units else "the dataset's units"
    title = f"{len(episodes)} episodes, {result.frames} frames, {options.seeds} predictions each, in {units}"
    print(f"{title}; 2nd and 3rd differences relative to the demonstrations'\n{table(result, names)}")

    output = options.output or _default_output(folder)
    output.mkdir(parents=True, exist_ok=True)
    content = {"command": sys.argv, "episodes": list(episodes), "units": units, "seeds": options.seeds}
    content |= {"stride": options.stride, "fps": dataset.meta.fps, **as_json(result, names)}
    (output / "offline_evaluation.json").write_text(json.dumps(content, indent=1) + "\n")
    plot_error(result, names, dataset.meta.fps, title, output / "error.png")
    plot_chunks(_spread_over(collected), names, dataset.meta.fps, title, output / "chunks.png")
    print(f"written to {output}")


def _default_output(folder: Path) -> Path:
    """In a training run's checkpoint; beside one that stands alone."""
    name = "offline_evaluation"
    return folder.with_name(name if folder.name == "pretrained_model" else f"{folder.name}.{name}")


def _warn(repo_id: str, trained: list[int] | None, episodes: list[int]) -> None:
    if trained is None:
        print(
            f"These episodes are not held out: the checkpoint was trained on all episodes of {repo_id}, "
            "unless this is another dataset.",
            file=sys.stderr,
        )
    elif seen := sorted(set(trained) & set(episodes)):
        print(
            f"{len(seen)} of {len(episodes)} episodes are not held out: the checkpoint was trained on {repo_id} with "
            f"episode {seen[0]} among others, unless this is another dataset.",
            file=sys.stderr,
        )


def _spread_over(collected: list[ChunkSamples]) -> ChunkSamples:
    """A few of the frames, evenly spread."""
    demonstrated = np.concatenate([samples.demonstrated for samples in collected])
    rows = np.unique(np.linspace(0, len(demonstrated) - 1, SHOWN_FRAMES + 2)[1:-1].round().astype(int))
    is_pad = np.concatenate([samples.is_pad for samples in collected])
    predicted = np.concatenate([samples.predicted for samples in collected], axis=1)
    return ChunkSamples(demonstrated[rows], is_pad[rows], predicted[:, rows])


def main() -> int:
    """Command line of :func:`evaluate`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of the checkpoint")
    parser.add_argument("--dataset", required=True, help="repo id, or folder, of the LeRobotDataset")
    parser.add_argument("--episodes", type=episode_list, help="e.g. 3,7,90-99 (default: those not trained on)")
    parser.add_argument("--stride", type=positive, default=5, help="every how many frames is predicted (default: 5)")
    parser.add_argument("--seeds", type=positive, default=5, help="predictions of each frame (default: 5)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--threads", type=positive, help="PyTorch threads on a CPU (default: PyTorch's)")
    parser.add_argument("--output", type=Path, help="folder to write (default: offline_evaluation beside the weights)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        evaluate(options)
    except ValueError as error:
        print(f"evaluate_offline: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
