"""Configuration shared by the flow-matching policies; a version is this with its own defaults and name."""

from dataclasses import dataclass

from prana_ros.policies.chunk_config import ChunkPolicyConfig


@dataclass
class FlowPolicyConfig(ChunkPolicyConfig):
    """A chunked flow-matching policy with correlated noise and rolling inpainting.

    Attributes, beside those of :class:`ChunkPolicyConfig`:
        num_context_layers, num_decoder_layers: depths.
        flow_samples_per_context: (t, ε) draws that share one pass of the context in training.
        num_inference_steps: Euler steps of one inference.
        time_grid_shift: α of t' = αt / (1 + (α − 1)t); 1 is an even grid.
        noise_beta: β, the share of the training set's correlation in the noise.
        noise_scale: factor of an inference's noise, not of training's; below 1 chunks lie closer to their mean, at 0
            they are determined by the observation, and ways that are equally good are no longer kept apart.
        allow_unfitted_noise: predict although the noise was not fitted, or under other statistics.
    """

    num_context_layers: int = 4
    num_decoder_layers: int = 8

    flow_samples_per_context: int = 8
    num_inference_steps: int = 10
    time_grid_shift: float = 1.0
    noise_beta: float = 0.5
    noise_scale: float = 1.0
    allow_unfitted_noise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one(
            "num_context_layers", "num_decoder_layers", "flow_samples_per_context", "num_inference_steps"
        )
        if not self.time_grid_shift > 0:
            raise ValueError(f"time_grid_shift must be positive, got {self.time_grid_shift}")
        if not 0 <= self.noise_beta <= 1:
            raise ValueError(f"noise_beta must be in [0, 1], got {self.noise_beta}")
        if not 0 <= self.noise_scale <= 1:
            raise ValueError(f"noise_scale must be in [0, 1], got {self.noise_scale}")
