"""Configuration shared by the flow-matching policies; a version is this with its own defaults and name."""

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import DiffuserSchedulerConfig

from prana_ros.policies.vision import RESIZE_MODES

UNITS = ("degrees", "m100_100")


@dataclass
class FlowPolicyConfig(PreTrainedConfig):
    """A chunked flow-matching policy with correlated noise and rolling inpainting.

    Attributes:
        chunk_size: steps H that one inference predicts.
        n_action_steps: steps of a chunk that ``select_action`` executes before it predicts again.
        backbone: a timm model by name, or ``small_cnn``.
        pretrained_backbone: start a fresh policy from timm's weights. Loading a checkpoint never downloads.
        freeze_backbone: keep the backbone's weights and statistics as they are.
        backbone_per_camera: one backbone for each camera instead of a shared one.
        use_class_token: keep a vision transformer's class token among the tokens.
        image_size: side of the square that the backbone sees, in pixels.
        resize_mode: ``stretch`` or ``letterbox``.
        camera_order: the image keys in the order of their embeddings; empty: as the dataset has them.
        random_shift_pixels: augmentation, largest shift by camera key, in pixels of ``image_size``.
        dim, num_heads, num_context_layers, num_decoder_layers: width D and depths.
        flow_samples_per_context: (t, ε) draws that share one pass of the context in training.
        num_inference_steps: Euler steps of one inference.
        time_grid_shift: α of t' = αt / (1 + (α − 1)t); 1 is an even grid.
        noise_beta: β, the share of the training set's correlation in the noise.
        allow_unfitted_noise: predict although the noise was not fitted, or under other statistics.
        ema_decay: decay of the average that a checkpoint deploys.
        optimizer_backbone_lr_factor: learning rate of a backbone that is not frozen, relative to ``optimizer_lr``;
            below 1 for pretrained weights, 1 for a backbone that starts from nothing.
        joint_names, fps, state_min, state_max: taken from the training dataset, for the checkpoint gate.
        units: of the dataset's joints; ``degrees`` (gripper 0…100) or ``m100_100``.
    """

    chunk_size: int = 50
    n_action_steps: int = 40
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )

    backbone: str = "vit_tiny_patch16_224"
    pretrained_backbone: bool = True
    freeze_backbone: bool = True
    backbone_per_camera: bool = False
    use_class_token: bool = True
    image_size: int = 224
    resize_mode: str = "stretch"
    camera_order: list[str] = field(default_factory=list)
    random_shift_pixels: dict[str, int] = field(default_factory=dict)

    dim: int = 256
    num_heads: int = 8
    num_context_layers: int = 4
    num_decoder_layers: int = 8

    flow_samples_per_context: int = 8
    num_inference_steps: int = 10
    time_grid_shift: float = 1.0
    noise_beta: float = 0.5
    allow_unfitted_noise: bool = False

    ema_decay: float = 0.999
    optimizer_lr: float = 1e-4
    optimizer_backbone_lr_factor: float = 0.1
    optimizer_weight_decay: float = 1e-4
    optimizer_grad_clip_norm: float = 1.0
    scheduler_warmup_steps: int = 500

    joint_names: list[str] = field(default_factory=list)
    units: str = "degrees"
    fps: int | None = None
    state_min: list[float] = field(default_factory=list)
    state_max: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_obs_steps != 1:
            raise ValueError(f"n_obs_steps must be 1, got {self.n_obs_steps}")
        self._at_least_one(
            "chunk_size",
            "image_size",
            "dim",
            "num_heads",
            "num_context_layers",
            "num_decoder_layers",
            "flow_samples_per_context",
            "num_inference_steps",
        )
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(f"n_action_steps must be in 1 … chunk_size = {self.chunk_size}, got {self.n_action_steps}")
        if self.dim % self.num_heads or self.dim % 2:
            raise ValueError(f"dim must be even and a multiple of num_heads = {self.num_heads}, got {self.dim}")
        if not self.time_grid_shift > 0:
            raise ValueError(f"time_grid_shift must be positive, got {self.time_grid_shift}")
        if not 0 <= self.noise_beta <= 1:
            raise ValueError(f"noise_beta must be in [0, 1], got {self.noise_beta}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay}")
        self._one_of("resize_mode", RESIZE_MODES)
        self._one_of("units", UNITS)

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")

    def validate_features(self) -> None:
        """Check the features that the dataset gave; one sentence for the first that does not fit."""
        if not self.image_features:
            raise ValueError("the policy needs at least one camera among its inputs, got none")
        if self.robot_state_feature is None:
            raise ValueError("the policy needs observation.state among its inputs, got none")
        if self.action_feature is None:
            raise ValueError("the policy needs action as its output, got none")
        if unknown := set(self.camera_order) - set(self.image_features):
            known = ", ".join(self.image_features)
            raise ValueError(f"camera_order names {', '.join(sorted(unknown))}; allowed: {known}")
        if unknown := set(self.random_shift_pixels) - set(self.image_features):
            known = ", ".join(self.image_features)
            raise ValueError(f"random_shift_pixels names {', '.join(sorted(unknown))}; allowed: {known}")
        state_names = self.input_features or {}
        unused = [key for key, ft in state_names.items() if ft.type is FeatureType.ENV]
        if unused:
            raise ValueError(f"the policy has no use for the input {unused[0]}; allowed: images and observation.state")

    @property
    def cameras(self) -> list[str]:
        """Image keys in the order in which the policy reads them."""
        return list(self.camera_order) or list(self.image_features)

    @property
    def action_dim(self) -> int:
        assert self.action_feature is not None
        return self.action_feature.shape[0]

    @property
    def state_dim(self) -> int:
        assert self.robot_state_feature is not None
        return self.robot_state_feature.shape[0]

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig(
            lr=self.optimizer_lr,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=self.optimizer_grad_clip_norm,
        )

    def get_scheduler_preset(self) -> DiffuserSchedulerConfig:
        return DiffuserSchedulerConfig(name="cosine", num_warmup_steps=self.scheduler_warmup_steps)
