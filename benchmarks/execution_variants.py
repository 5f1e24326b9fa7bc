"""Other ways to compute what a policy of ``full_size`` computes: on a device, in bfloat16, compiled, as a graph."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from benchmarks.full_size import Act, Batch, Diffusion, Flow, Regression, Subject

WARM_UPS = 3
"""Runs before a CUDA graph is captured: libraries choose their algorithms in the first."""


@dataclass(frozen=True)
class Autocast:
    """A LeRobot policy under autocast, which casts the weights anew in every run: they know no other bfloat16."""

    subject: Act | Diffusion
    device_type: str

    @property
    def policy(self) -> nn.Module:
        return self.subject.policy

    def __call__(self, batch: Batch) -> Tensor:
        with torch.autocast(self.device_type, torch.bfloat16):
            return self.subject(batch)


def on_device(subject: Subject, device: str) -> Subject:
    """The subject and what it owns, moved to a device."""
    moved = replace(subject, policy=subject.policy.to(device))
    return replace(moved, noise=moved.noise.to(device)) if isinstance(moved, Flow | Diffusion) else moved


def in_bfloat16(subject: Regression | Flow) -> Regression | Flow:
    """A copy whose backbone and transformer layers have bfloat16 weights; the few layers before and after, the flow
    time and the Euler sum stay float32.
    """
    policy = copy.deepcopy(subject.policy)
    network = policy.network
    layers = [*network.vision.backbones, network.encoder]
    after = [network.vision.projection]
    if isinstance(subject, Flow):
        layers += network.decoder.layers
        after.append(network.decoder.norm)
    else:
        after.append(network.action_out)
    for module in layers:
        _cast_input(module.to(torch.bfloat16), torch.bfloat16)
    for module in after:
        _cast_input(module, torch.float32)
    return replace(subject, policy=policy)


def compiled(subject: Subject, mode: str | None) -> Subject:
    """The subject with its parts compiled by their first run; the weights are shared with it."""
    shared = {id(parameter): parameter for parameter in subject.policy.parameters()}
    result = replace(subject, policy=copy.deepcopy(subject.policy, memo=shared))
    for part in result.compiled_parts():
        part.compile(mode=mode)
    return result


def as_cuda_graph(function: Callable[[Batch], object], batch: Batch) -> Callable[[Batch], object]:
    """The function on a GPU as one graph: a call copies a batch into the graph's own and replays all its kernels.

    The returned tensor is the same in every call.
    """
    own = {key: value.clone() for key, value in batch.items()}
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function(own)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function(own)

    def run(new: Batch) -> object:
        for key, value in own.items():
            value.copy_(new[key])
        graph.replay()
        return result

    return run


def _cast_input(module: nn.Module, dtype: torch.dtype) -> None:
    module.register_forward_pre_hook(lambda _, arguments: (arguments[0].to(dtype), *arguments[1:]))
