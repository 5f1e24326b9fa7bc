"""Processors of PRANA v1, under the name by which LeRobot's factory finds them."""

from lerobot.processor import ProcessorStep, TokenizerProcessorStep

from prana_ros.policies.prana_v1.configuration_prana_v1 import PranaV1Config
from prana_ros.policies.processors import DatasetStats, Processors, make_processors


def make_prana_v1_pre_post_processors(config: PranaV1Config, dataset_stats: DatasetStats | None = None) -> Processors:
    """LeRobot's pre- and post-processing pipelines for PRANA v1; they tokenise the task if the policy reads it."""
    steps: list[ProcessorStep] = []
    if config.language_tokenizer:
        steps.append(
            TokenizerProcessorStep(tokenizer_name=config.language_tokenizer, max_length=config.language_max_length)
        )
    return make_processors(config, dataset_stats, steps)
