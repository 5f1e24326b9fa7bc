"""PRANA v2 as a LeRobot policy."""

from typing import Any

from prana_ros.policies.flow_policy import FlowPolicy
from prana_ros.policies.prana_v2.configuration_prana_v2 import PranaV2Config


class PranaV2Policy(FlowPolicy):
    """See :class:`prana_ros.policies.flow_policy.FlowPolicy`."""

    config_class = PranaV2Config
    name = "prana_v2"

    def __init__(self, config: PranaV2Config, **kwargs: Any):
        super().__init__(config, **kwargs)
