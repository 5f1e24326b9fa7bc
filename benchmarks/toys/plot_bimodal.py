"""Draw docs/bimodal.png, v1, v2 and v3 on two ways round an obstacle: ``python -m benchmarks.toys.plot_bimodal``."""

from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.toys.bimodal import (
    OBSTACLE_RADIUS,
    WIDTHS,
    demonstrations,
    hits_obstacle,
    passes_above,
    roughness,
    sample,
    train,
)

PICTURE = Path(__file__).parents[2] / "docs" / "bimodal.png"
SHOWN, COUNTED = 40, 400
TRAINING = {"steps": 2500, "batch": 32, "learning_rate": 2e-3}
"""Three to four minutes of one core for each policy."""


def draw(axes: plt.Axes, kind: str, paths: np.ndarray) -> None:
    """One panel: demonstrations, obstacle, sampled chunks, and how they are shared out."""
    chunks = sample(train(kind, paths, **TRAINING), paths, COUNTED)
    axes.plot(*paths[::4].transpose(2, 1, 0), color="0.82", linewidth=0.8, zorder=1)
    axes.add_patch(plt.Circle((0, 0), OBSTACLE_RADIUS, color="#c44e52", zorder=2))
    axes.plot(*chunks[:SHOWN].transpose(2, 1, 0), color="#2b6ca3", linewidth=0.9, alpha=0.7, zorder=3)
    hits, above = hits_obstacle(chunks), passes_above(chunks)
    shares = [(above & ~hits).mean(), (~above & ~hits).mean(), hits.mean()]
    axes.set_title(f"{kind.replace('_', ' ')}\n" + "above {:.0%}, below {:.0%}, into it {:.0%}".format(*shares))
    print(f"{kind}: second differences {roughness(chunks) / roughness(paths):.2f} times the demonstrations'")
    axes.set(xlabel="joint 1", xlim=(-1.15, 1.15), ylim=(-1.1, 1.1), aspect="equal")


def main() -> None:
    """Train the three policies and write the image."""
    torch.set_num_threads(1)
    paths = demonstrations()
    figure, panels = plt.subplots(1, len(WIDTHS), figsize=(11, 4.5), sharey=True)
    for axes, kind in zip(panels, WIDTHS, strict=True):
        draw(axes, kind, paths)
    panels[0].set_ylabel("joint 2")
    lines = [plt.Line2D([], [], color=color) for color in ("0.75", "#2b6ca3", "#c44e52")]
    labels = ["demonstrations", f"{SHOWN} predicted chunks (v1 predicts one)", "obstacle"]
    figure.subplots_adjust(left=0.07, right=0.99, top=0.88, bottom=0.2, wspace=0.05)
    figure.legend(lines, labels, loc="lower center", ncols=3, frameon=False)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
