"""Exponential moving average of trained weights: checkpoints deploy it, training goes on with the raw."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

UPDATES = "num_updates"


class EMA:
    """average ← d·average + (1 − d)·weight, with d = min(decay, (1 + n) / (10 + n)) after n updates.

    The ramp lets the average forget the initial weights quickly. Only parameters that require a gradient are kept.
    """

    def __init__(self, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.num_updates = 0
        self._average: dict[str, Tensor] = {}

    @staticmethod
    def _trained(module: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
        return ((name, p) for name, p in module.named_parameters() if p.requires_grad)

    @torch.no_grad()
    def start(self, module: nn.Module) -> None:
        """Begin with the module's present weights as the average."""
        self._average = {name: p.detach().clone() for name, p in self._trained(module)}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the module's weights after an optimiser step."""
        if not self._average:
            self.start(module)
            return
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        names, weights = zip(*self._trained(module), strict=True)
        torch._foreach_lerp_([self._average[name] for name in names], list(weights), 1 - decay)

    @torch.no_grad()
    def averaged(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dictionary with the averaged weights in place of the raw ones."""
        return {name: self._average.get(name, tensor) for name, tensor in state.items()}

    def raw_state(self, module: nn.Module) -> dict[str, Tensor]:
        """What resuming needs beside the average: the raw trained weights and the number of updates."""
        raw = {name: p.detach().contiguous() for name, p in self._trained(module)}
        return {**raw, UPDATES: torch.tensor(self.num_updates)}

    @torch.no_grad()
    def resume(self, module: nn.Module, raw_state: dict[str, Tensor]) -> None:
        """Take the module's weights as the average, then put the raw weights back into the module.

        A parameter that was frozen until now has no raw weight beside the average: it stays as it is.
        """
        self.start(module)
        self.num_updates = int(raw_state[UPDATES])
        for name, parameter in self._trained(module):
            if name in raw_state:
                parameter.copy_(raw_state[name])
