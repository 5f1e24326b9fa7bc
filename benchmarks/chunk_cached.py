"""One chunk of the full-size v2 on the CPU, against the floor of its arithmetic, and what caching the context saves.

The floor is every matrix product that the same inference does, recorded from it and repeated on matrices of the same
shapes: products with one weight share one matrix, others have their own, and nothing else is computed. Weights are
random: the time does not depend on them. All variants take turns, so that other load meets them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.harness import Figure, at_most, write_result
from prana_ros.policies.flow_matching import euler, time_grid
from prana_ros.policies.flow_network import Context
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config
from prana_ros.policies.prana_v2.modeling_prana_v2 import PranaV2Policy

CAMERAS = ("observation.images.table", "observation.images.wrist")
IMAGE_SHAPE = (3, 480, 640)
JOINTS = 6
LIMIT = 2.0


def full_size_policy() -> PranaV2Policy:
    """PRANA v2 with its defaults for two cameras and six joints, random weights."""
    config = PranaV2Config(
        device="cpu",
        pretrained_backbone=False,
        allow_unfitted_noise=True,
        input_features={
            "observation.state": PolicyFeature(FeatureType.STATE, (JOINTS,)),
            **{camera: PolicyFeature(FeatureType.VISUAL, IMAGE_SHAPE) for camera in CAMERAS},
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))},
    )
    return PranaV2Policy(config).eval()


def observation() -> dict[str, Tensor]:
    """One preprocessed observation of noise."""
    images = {camera: torch.rand(1, *IMAGE_SHAPE) for camera in CAMERAS}
    return {"observation.state": torch.randn(1, JOINTS), **images}


class ProductRecorder(TorchDispatchMode):
    """Notes the operands' shapes of every matrix product that runs inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[tuple[tuple[int, ...], tuple[int, ...], int | None]] = []
        """Left shape, right shape, and which weight the right one is (None: computed from the data)."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Note the call where it multiplies matrices, then let it run."""
        aten = torch.ops.aten
        name = function.overloadpacket
        if name is aten.addmm:
            self._note(args[1].shape, args[2].shape, args[2].data_ptr())
        elif name is aten.mm:
            self._note(args[0].shape, args[1].shape, args[1].data_ptr())
        elif name is aten.bmm:
            self._note(args[0].shape, args[1].shape, None)
        elif name is aten.convolution:  # of patches that do not overlap: one product per image
            self._convolution(args[0], args[1])
        elif name is aten._scaled_dot_product_flash_attention_for_cpu:
            query, key, value = (x.flatten(0, 1) for x in args[:3])
            self._note(query.shape, key.transpose(1, 2).shape, None)
            self._note((*query.shape[:2], key.shape[1]), value.shape, None)
        return function(*args, **(kwargs or {}))

    def _note(self, left: tuple[int, ...], right: tuple[int, ...], weight: int | None) -> None:
        self.products.append((tuple(left), tuple(right), weight))

    def _convolution(self, images: Tensor, weight: Tensor) -> None:
        outputs, *patch = weight.shape
        size = patch[0] * patch[1] * patch[2]
        patches = images.shape[0] * (images.shape[2] // patch[1]) * (images.shape[3] // patch[2])
        self._note((patches, size), (size, outputs), weight.data_ptr())

    def multiplications(self) -> int:
        """Multiply-accumulate operations of all products."""
        return sum(torch.Size(left).numel() * right[-1] for left, right, _ in self.products)


def replay(products: list[tuple[tuple[int, ...], tuple[int, ...], int | None]]) -> Callable[[], None]:
    """The recorded products alone, on matrices prepared beforehand."""
    weights: dict[tuple, Tensor] = {}
    calls = []
    for index, (left, right, weight) in enumerate(products):
        key = (right, weight if weight is not None else f"product {index}")
        if key not in weights:
            # A linear layer multiplies by the transpose of its stored weight; so does the floor.
            weights[key] = torch.randn(*right[:-2], right[-1], right[-2]).transpose(-1, -2)
        calls.append((torch.randn(left), weights[key], torch.empty(*left[:-1], right[-1])))

    def run() -> None:
        for x, matrix, out in calls:
            torch.matmul(x, matrix, out=out)

    return run


def variants(policy: PranaV2Policy, batch: dict[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    """The inference as it is, and as it would be without each cache."""
    noise = policy.noise.sample(1)
    grid = time_grid(policy.config.num_inference_steps)
    network = policy.network

    def keys_each_step() -> Tensor:
        tokens = network.context_tokens(batch)
        return euler(lambda x, t: network.velocity(Context(network.decoder.key_values(tokens)), x, t), noise, grid)

    def context_each_step() -> Tensor:
        return euler(lambda x, t: network.velocity(network.encode(batch), x, t), noise, grid)

    return {
        "cached": lambda: policy.predict_action_chunk(batch, noise=noise),
        "context": lambda: policy.encode_context(batch),
        "keys_each_step": keys_each_step,
        "context_each_step": context_each_step,
    }


def take_turns(functions: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Median wall time of each function (ms), after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if round_:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


@torch.no_grad()
def measure(repeats: int) -> None:
    """Run all variants and write the result."""
    torch.manual_seed(0)
    policy, batch = full_size_policy(), observation()
    functions: dict[str, Callable] = variants(policy, batch)
    functions["cached"]()
    with ProductRecorder() as recorder:
        functions["cached"]()
    functions["floor"] = replay(recorder.products)
    times = take_turns(functions, repeats)
    write_result(
        "chunk_cached",
        [
            Figure("multiply-accumulates of one chunk", recorder.multiplications() / 1e9, "G"),
            Figure("arithmetic floor", times["floor"], "ms"),
            Figure("one chunk, 10 steps", times["cached"], "ms"),
            Figure("of that, context", times["context"], "ms"),
            at_most("chunk against the floor", times["cached"] / times["floor"], "times", LIMIT),
            Figure("keys and values in every step", times["keys_each_step"], "ms"),
            Figure("context in every step", times["context_each_step"], "ms"),
        ],
        threads=torch.get_num_threads(),
        repeats=repeats,
    )


def main() -> None:
    """Command line of :func:`measure`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    measure(parser.parse_args().repeats)


if __name__ == "__main__":
    main()
