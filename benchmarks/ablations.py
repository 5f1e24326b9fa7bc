"""What the trained v2 owes to its parts: each is changed by itself, on the same unseen hard scenes.

    make bench-ablations                                                       all of them
    make bench-ablations ARGS="--only 'one step' 'white noise'"                some of them

Every run is kept with all its episodes in ``results/ablations/``, and the table is made of all that were kept.
"""

from benchmarks.ablation_runs import Change, make_parser, measure
from benchmarks.inpainting_variants import NO_PREFIX
from prana_ros.evaluation.playback import Playback

JOINED = Playback(asynchronous=True, latency=0.2)
"""Chunks join best or worst while the arm moves: as in the graph, a chunk arriving 0.2 s after its observation."""
REFERENCE, REFERENCE_JOINED = "as deployed", "as deployed, joined"
ABLATIONS = {
    REFERENCE: Change(REFERENCE),
    "white noise": Change(REFERENCE, {"white_noise": True}),
    "whole noise": Change(REFERENCE, {"noise_scale": 1.0}),
    "no noise": Change(REFERENCE, {"noise_scale": 0.0}),
    "one step": Change(REFERENCE, {"denoising_steps": 1}),
    "two steps": Change(REFERENCE, {"denoising_steps": 2}),
    "five steps": Change(REFERENCE, {"denoising_steps": 5}),
    "a fifth executed": Change(REFERENCE, playback=Playback(execute_steps=3)),
    "two fifths executed": Change(REFERENCE, playback=Playback(execute_steps=6)),
    "four fifths executed": Change(REFERENCE, playback=Playback(execute_steps=13)),
    REFERENCE_JOINED: Change(REFERENCE_JOINED, playback=JOINED),
    "no inpainting": Change(REFERENCE_JOINED, {"joining": NO_PREFIX}, JOINED),
    "overwriting": Change(REFERENCE_JOINED, {"joining": "overwriting"}, JOINED),
    "constant M": Change(REFERENCE_JOINED, {"joining": "constant M"}, JOINED),
    "white noise, joined": Change(REFERENCE_JOINED, {"white_noise": True}, JOINED),
    "whole noise, joined": Change(REFERENCE_JOINED, {"noise_scale": 1.0}, JOINED),
}
"""As deployed is ten steps, half of the correlated noise, M_t, and eight of sixteen steps executed where chunks do not
overlap."""


def main() -> None:
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ABLATIONS), default=list(ABLATIONS), help="(default: all)")
    options = parser.parse_args()
    measure("ablations", ABLATIONS, options.only, options, losses={})


if __name__ == "__main__":
    main()
