"""Processors of PRANA v2, under the name by which LeRobot's factory finds them."""

from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config
from prana_ros.policies.processors import DatasetStats, Processors, make_processors


def make_prana_v2_pre_post_processors(config: PranaV2Config, dataset_stats: DatasetStats | None = None) -> Processors:
    """LeRobot's pre- and post-processing pipelines for PRANA v2."""
    return make_processors(config, dataset_stats)
