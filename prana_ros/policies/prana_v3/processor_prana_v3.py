"""Processors of PRANA v3, under the name by which LeRobot's factory finds them."""

from prana_ros.policies.prana_v3.configuration_prana_v3 import PranaV3Config
from prana_ros.policies.processors import DatasetStats, Processors, make_processors


def make_prana_v3_pre_post_processors(config: PranaV3Config, dataset_stats: DatasetStats | None = None) -> Processors:
    """LeRobot's pre- and post-processing pipelines for PRANA v3."""
    return make_processors(config, dataset_stats)
