"""One chunk of the full-size v2 on the CPU, against the floor of its arithmetic, and what caching the context saves."""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.arithmetic_floor import products_of
from benchmarks.full_size import Batch, Flow, flow, observation
from benchmarks.harness import Figure, at_most, take_turns, write_result
from prana_ros.policies.flow_matching import euler, time_grid
from prana_ros.policies.flow_network import Context

LIMIT = 2.0
STEPS = 10


def variants(subject: Flow, batch: Batch) -> dict[str, Callable[[], object]]:
    """The inference as it is, and as it would be without each cache."""
    network, noise = subject.policy.network, subject.noise
    grid = time_grid(subject.steps)

    def keys_each_step() -> Tensor:
        tokens = network.context_tokens(batch)
        return euler(lambda x, t: network.velocity(Context(network.decoder.key_values(tokens)), x, t), noise, grid)

    def context_each_step() -> Tensor:
        return euler(lambda x, t: network.velocity(network.encode(batch), x, t), noise, grid)

    return {
        "cached": lambda: subject(batch),
        "context": lambda: subject.policy.encode_context(batch),
        "keys_each_step": keys_each_step,
        "context_each_step": context_each_step,
    }


@torch.no_grad()
def measure(repeats: int) -> None:
    """Run all variants and write the result."""
    torch.manual_seed(0)
    subject, batch = flow("prana_v2", STEPS), observation()
    functions = variants(subject, batch)
    products = products_of(functions["cached"])
    times = take_turns({**functions, "floor": products.replay()}, repeats)
    write_result(
        "chunk_cached",
        [
            Figure("multiply-accumulates of one chunk", products.multiplications() / 1e9, "G"),
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    measure(parser.parse_args().repeats)


if __name__ == "__main__":
    main()
