"""One chunk of PRANA v1, v2 and v3 and of LeRobot's ACT and Diffusion, from the same two images of 640x480, in one run.

Eager and compiled, in float32 and in bfloat16 where the processor has it; on a GPU (``--device=cuda``) as CUDA graphs
too. Everything takes turns. The errors are against float32, for weights and images of noise; degrees are of a joint
whose actions have a standard deviation of 30 degrees (the twin's: 9 to 47).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from benchmarks.arithmetic_floor import Products, products_of
from benchmarks.execution_variants import Autocast, as_cuda_graph, compiled, in_bfloat16, on_device
from benchmarks.full_size import Batch, Flow, Regression, Subject, act, diffusion, flow, observation, prana
from benchmarks.harness import Figure, at_most, take_turns, write_result

STEPS = (10, 5, 3, 2, 1)
FLOOR_LIMIT = 1.3
GPU_LIMIT = 3.0
"""ms of v2 at 10 steps in bfloat16 on an H200."""
DEGREES = 30.0
REFERENCE = "v2, 10 steps"
FLOOR = "arithmetic floor of v2, 10 steps"
ACT_224 = "ACT 224x224"
BFLOAT16, COMPILED, GRAPH = ", bfloat16", ", compiled", ", CUDA graph"


@dataclass
class Table:
    """What is timed, by name, and what was found out on the way."""

    device: str
    batch: Batch
    functions: dict[str, Callable[[Batch], object]] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    """Largest difference from float32 in bfloat16, in normalized units."""
    compile_times: dict[str, float] = field(default_factory=dict)
    not_compiled: list[str] = field(default_factory=list)

    def add(self, name: str, subject: Subject | Autocast, suffix: str = "") -> None:
        """Time a subject; v2 at every number of steps."""
        for row, variant in _rows(name, subject).items():
            self.functions[row + suffix] = variant
            if self.device == "cuda" and isinstance(variant, Flow | Regression) and not suffix.endswith(COMPILED):
                self.functions[row + suffix + GRAPH] = as_cuda_graph(variant, self.batch)

    def add_bfloat16(self, name: str, subject: Subject) -> None:
        """Time a subject in bfloat16, and note the error of PRANA's."""
        if not isinstance(subject, Regression | Flow):
            self.add(name, Autocast(subject, self.device), BFLOAT16)
            return
        lower = in_bfloat16(subject)
        self.add(name, lower, BFLOAT16)
        self.errors[name] = (subject(self.batch) - lower(self.batch)).abs().max().item()

    def add_compiled(self, name: str, subject: Subject, deadline: float, suffix: str = "") -> None:
        """Time a subject compiled, unless the time for compiling is used up."""
        if time.monotonic() > deadline:
            self.not_compiled.append(name + suffix)
            return
        started = time.monotonic()
        variant = compiled(subject, "reduce-overhead" if self.device == "cuda" else None)
        variant(self.batch)
        self.compile_times[name + suffix] = round(time.monotonic() - started, 1)
        self.add(name, variant, suffix + COMPILED)

    def take_turns(self, repeats: int) -> dict[str, float]:
        """Median time of each function (ms)."""
        finish = torch.cuda.synchronize if self.device == "cuda" else lambda: None
        calls = {name: lambda f=function: f(self.batch) for name, function in self.functions.items()}
        return take_turns(calls, repeats, finish)


def subjects(device: str) -> dict[str, Subject]:
    """All policies by name."""
    made: dict[str, Subject] = {
        "v2": flow("prana_v2", STEPS[0]),
        ACT_224: act(224),
        "v1": Regression(prana("prana_v1")),
        "v3, 10 steps": flow("prana_v3", STEPS[0]),
        "Diffusion 224x224, DDIM, 10 steps": diffusion(),
        "ACT 640x480": act(None),
    }
    return {name: on_device(subject, device) for name, subject in made.items()}


def measure(device: str, repeats: int, compile_limit: float) -> None:
    """Build everything, let it take turns, and write the result.

    Args:
        compile_limit: seconds after which nothing more is compiled; 0 for nothing at all.
    """
    torch.manual_seed(0)
    products = _products()
    table = Table(device, {key: value.to(device) for key, value in observation().items()})
    with torch.inference_mode():
        _add_floor(table, products)
        _add_policies(table, compile_limit)
        times = table.take_turns(repeats)
    _write(table, times, products, repeats)


def _add_policies(table: Table, compile_limit: float) -> None:
    made = subjects(table.device)
    has_bfloat16 = table.device == "cuda" or _processor_has_bfloat16()
    for name, subject in made.items():
        table.add(name, subject)
        if has_bfloat16:
            table.add_bfloat16(name, subject)
    if not compile_limit:
        return
    # Kernels that another run left behind would be taken, with that run's number of threads.
    torch.compiler.config.force_disable_caches = True
    deadline = time.monotonic() + compile_limit
    for name, subject in made.items():
        table.add_compiled(name, subject, deadline)
        if name == "v2" and isinstance(subject, Flow) and has_bfloat16:
            table.add_compiled(name, in_bfloat16(subject), deadline, BFLOAT16)


def _rows(name: str, subject: Subject | Autocast) -> dict[str, Subject | Autocast]:
    if name == "v2" and isinstance(subject, Flow):
        return {f"v2, {steps} step{'s' if steps > 1 else ''}": replace(subject, steps=steps) for steps in STEPS}
    return {name: subject}


def _products() -> Products:
    subject, batch = flow("prana_v2", STEPS[0]), observation()
    return products_of(lambda: subject(batch))


def _add_floor(table: Table, products: Products) -> None:
    """Time the products alone: on a GPU in bfloat16, as the inference that the goal is for."""
    on_gpu = table.device == "cuda"
    replay = products.replay(table.device, torch.bfloat16 if on_gpu else torch.float32)

    def run(_: Batch) -> None:
        replay()

    table.functions[FLOOR] = as_cuda_graph(run, table.batch) if on_gpu else run


def _processor_has_bfloat16() -> bool:
    """Whether it multiplies bfloat16 itself; without, it is emulated and slow."""
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _write(table: Table, times: dict[str, float], products: Products, repeats: int) -> None:
    figures = [Figure("multiply-accumulates of v2, 10 steps", products.multiplications() / 1e9, "G")]
    figures += [Figure(name, value, "ms") for name, value in times.items()]
    on_gpu = table.device == "cuda"
    if on_gpu:
        figures.append(at_most("v2 on this GPU", times[REFERENCE + BFLOAT16 + GRAPH], "ms", GPU_LIMIT))
    else:
        figures += [
            at_most(f"{REFERENCE}, to its floor", times[REFERENCE] / times[FLOOR], "times", FLOOR_LIMIT),
            at_most(f"v2, 3 steps, to {ACT_224}", times["v2, 3 steps"] / times[ACT_224], "times", 1.0),
        ]
    for name, error in table.errors.items():
        figures.append(Figure(f"{name}{BFLOAT16}, largest error", error, "std"))
        figures.append(Figure(f"{name}{BFLOAT16}, largest error at 30 degrees a std", error * DEGREES, "deg"))
    name = "chunk_latency_cuda" if on_gpu else "chunk_latency"
    command = "make bench-chunk_latency ARGS=--device=cuda" if on_gpu else None
    gpu = {"gpu": torch.cuda.get_device_name()} if on_gpu else {}
    write_result(
        name,
        figures,
        command,
        **gpu,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        repeats=repeats,
        compile_times=table.compile_times,
        not_compiled=table.not_compiled,
    )


def main() -> None:
    """Command line of :func:`measure`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0, help="of the CPU's operators, 0 for all cores")
    parser.add_argument("--compile-limit", type=float, default=600.0, help="s after which nothing more is compiled")
    parser.add_argument("--no-compile", action="store_true", help="eager only")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    measure(arguments.device, arguments.repeats, 0.0 if arguments.no_compile else arguments.compile_limit)


if __name__ == "__main__":
    main()
