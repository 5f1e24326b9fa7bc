"""Pre- and post-processing pipelines of the policies: LeRobot's own steps, mean/std for state and action."""

from collections.abc import Sequence
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.processor import (
    AddBatchDimensionProcessorStep,
    DeviceProcessorStep,
    NormalizerProcessorStep,
    PolicyAction,
    PolicyProcessorPipeline,
    ProcessorStep,
    RenameObservationsProcessorStep,
    UnnormalizerProcessorStep,
)
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action
from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME

Processors = tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]
DatasetStats = dict[str, dict[str, torch.Tensor]]


def make_processors(
    config: PreTrainedConfig, dataset_stats: DatasetStats | None = None, before_device: Sequence[ProcessorStep] = ()
) -> Processors:
    """Batch, move to the device, normalize; and back. Images pass unchanged: the policy normalizes them itself.

    Args:
        before_device: a policy's own steps, between batching and moving.
    """
    features = {**(config.input_features or {}), **(config.output_features or {})}
    preprocessor = PolicyProcessorPipeline[dict[str, Any], dict[str, Any]](
        steps=[
            RenameObservationsProcessorStep(rename_map={}),
            AddBatchDimensionProcessorStep(),
            *before_device,
            DeviceProcessorStep(device=config.device),
            NormalizerProcessorStep(
                features=features,
                norm_map=config.normalization_mapping,
                stats=dataset_stats,
                device=config.device,
            ),
        ],
        name=POLICY_PREPROCESSOR_DEFAULT_NAME,
    )
    postprocessor = PolicyProcessorPipeline[PolicyAction, PolicyAction](
        steps=[
            UnnormalizerProcessorStep(
                features=config.output_features or {},
                norm_map=config.normalization_mapping,
                stats=dataset_stats,
            ),
            DeviceProcessorStep(device="cpu"),
        ],
        name=POLICY_POSTPROCESSOR_DEFAULT_NAME,
        to_transition=policy_action_to_transition,
        to_output=transition_to_policy_action,
    )
    return preprocessor, postprocessor
