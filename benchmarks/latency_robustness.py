"""What added latency does to the trained v2: waiting for each chunk, against chunks that keep the time of their
observation while the arm goes on.

    make bench-latency_robustness
    make bench-latency_robustness ARGS="--only 'asynchronous 200 ms'"

On the same unseen hard scenes in lock-step, where latency is simulated. Every run is kept with all its episodes in
``results/latency_robustness/``, and the table is made of all that were kept.
"""

from benchmarks.ablation_runs import Change, make_parser, measure
from prana_ros.evaluation.playback import Playback

LATENCIES = (0, 100, 200, 400)
"""Milliseconds from an observation to the arrival of its chunk."""
MODES = {"synchronous": False, "asynchronous": True}
RUNS = {
    f"{mode} {latency} ms": Change(f"{mode} 0 ms", playback=Playback(asynchronous=goes_on, latency=latency / 1000))
    for mode, goes_on in MODES.items()
    for latency in LATENCIES
}
LOSSES = {"asynchronous 200 ms": 5.0}
"""The points of success that a run may lose against the same without latency."""


def main() -> None:
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), help="(default: all)")
    options = parser.parse_args()
    measure("latency_robustness", RUNS, options.only, options, LOSSES)


if __name__ == "__main__":
    main()
