"""Configuration shared by all policies that predict action chunks; each family adds its own options."""

import logging
from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import DiffuserSchedulerConfig
from lerobot.utils.constants import OBS_STATE

from prana_ros.policies.augmentation import FIELDS, Augmentation, camera_augmentations, check_strengths
from prana_ros.policies.vision import RESIZE_MODES

UNITS = ("degrees", "m100_100")


@dataclass
class ChunkPolicyConfig(PreTrainedConfig):
    """Chunks, cameras, augmentation, optimiser, averaging, and what the checkpoint gate compares.

    An augmentation is a strength for each camera key. Left open (None), cameras with "wrist" in their name get the mild
    one of ``augmentation.WRIST_DEFAULT`` and the others none: on a fixed camera the image says where things are to the
    centimeter. ``{}`` is none. Colors are changed on wrist cameras only: on the others they tell things apart.

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
        random_crop: augmentation, smallest side of the part that is shown, as a share of the image, in (0, 1].
        random_rotation: augmentation, largest angle, in degrees.
        color_jitter: augmentation, strength in [0, 1], of wrist cameras only.
        dim, num_heads: width D of all tokens, attention heads.
        ema_decay: decay of the average that a checkpoint deploys.
        optimizer_backbone_lr_factor: learning rate of a backbone that is not frozen, relative to ``optimizer_lr``;
            below 1 for pretrained weights, 1 for a backbone that starts from nothing.
        joint_names: of the dataset's action, for the checkpoint gate; empty: as the dataset names them.
        fps, state_min, state_max: taken from the training dataset, for the checkpoint gate.
        units: of the dataset's joints, which no dataset says; ``degrees`` (gripper 0…100) or ``m100_100``.
        pretrained_revision: LeRobot 0.6's own. Known here too, so that 0.5 reads what 0.6
            has saved. (The parser of --help takes what follows the last attribute for its help, if it is a quotation.)
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
    random_shift_pixels: dict[str, int] | None = None
    random_crop: dict[str, float] | None = None
    random_rotation: dict[str, float] | None = None
    color_jitter: dict[str, float] | None = None

    dim: int = 256
    num_heads: int = 8

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

    pretrained_revision: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_obs_steps != 1:
            raise ValueError(f"n_obs_steps must be 1, got {self.n_obs_steps}")
        self._at_least_one("chunk_size", "image_size", "dim", "num_heads")
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise ValueError(f"n_action_steps must be in 1 … chunk_size = {self.chunk_size}, got {self.n_action_steps}")
        if self.dim % self.num_heads or self.dim % 2:
            raise ValueError(f"dim must be even and a multiple of num_heads = {self.num_heads}, got {self.dim}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay}")
        self._one_of("resize_mode", RESIZE_MODES)
        self._one_of("units", UNITS)
        check_strengths(self._augmentation_strengths())

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")

    def _augmentation_strengths(self) -> dict[str, dict[str, float] | None]:
        return {name: getattr(self, name) for name in FIELDS}

    def validate_features(self) -> None:
        """Check the features that the dataset gave; one sentence for the first that does not fit."""
        if not self.image_features:
            raise ValueError("the policy needs at least one camera among its inputs, got none")
        self._drop_other_states()
        if self.robot_state_feature is None:
            raise ValueError("the policy needs observation.state among its inputs, got none")
        if self.action_feature is None:
            raise ValueError("the policy needs action as its output, got none")
        for name, keys in {"camera_order": self.camera_order, **self._augmentation_strengths()}.items():
            if unknown := set(keys or ()) - set(self.image_features):
                known = ", ".join(self.image_features)
                raise ValueError(f"{name} names {', '.join(sorted(unknown))}; allowed: {known}")
        if len(set(self.camera_order)) < len(self.camera_order):
            raise ValueError(f"camera_order is {', '.join(self.camera_order)}; allowed: each camera once")
        unused = [key for key, feature in (self.input_features or {}).items() if feature.type is FeatureType.ENV]
        if unused:
            raise ValueError(f"the policy has no use for the input {unused[0]}; allowed: images and observation.state")

    def _drop_other_states(self) -> None:
        """Leave out what no node of the arm gives a policy: the checkpoint would ask for it and be refused."""
        features = self.input_features or {}
        others = [key for key, feature in features.items() if feature.type is FeatureType.STATE and key != OBS_STATE]
        if others:
            logging.warning("The policy does not use %s: only %s comes from the arm.", ", ".join(others), OBS_STATE)
        for key in others:
            del features[key]

    @property
    def cameras(self) -> list[str]:
        """Image keys in the order in which the policy reads them."""
        return list(self.camera_order) or list(self.image_features)

    @property
    def inputs(self) -> list[str]:
        """All keys that an observation must have."""
        return [OBS_STATE, *self.cameras]

    @property
    def augmentations(self) -> dict[str, Augmentation]:
        """What training does to the images of each camera."""
        return camera_augmentations(self._aspects(), self._augmentation_strengths())

    def _aspects(self) -> dict[str, float]:
        """By how much each camera's image is wider than high, where it is stretched to a square."""
        sizes = {camera: self.image_features[camera].shape[-2:] for camera in self.cameras}
        stretched = self.resize_mode == "stretch"
        return {camera: width / height if stretched else 1.0 for camera, (height, width) in sizes.items()}

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
