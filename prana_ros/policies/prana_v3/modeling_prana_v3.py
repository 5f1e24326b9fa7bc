"""PRANA v3 as a LeRobot policy."""

from typing import Any

from prana_ros.policies.flow_policy import FlowPolicy
from prana_ros.policies.prana_v3.configuration_prana_v3 import PranaV3Config


class PranaV3Policy(FlowPolicy):
    """See :class:`prana_ros.policies.flow_policy.FlowPolicy`."""

    config_class = PranaV3Config
    name = "prana_v3"

    def __init__(self, config: PranaV3Config, **kwargs: Any):
        super().__init__(config, **kwargs)
