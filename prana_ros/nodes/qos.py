"""Quality-of-service profiles by name, each with its reason."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, *, reliable: bool = True, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


# RViz and rqt ask for reliable images; a best-effort subscriber may join as well. Depth 5 is 1/6 s at 30 Hz.
IMAGE_PUB = _profile(5)

# A late frame is worthless to a policy: no retransmission, and no publisher held up by a slow reader.
IMAGE_SUB = _profile(5, reliable=False)

# Like the images: tools ask for reliable, our own readers want only the newest.
JOINT_STATE_PUB = _profile(10)
JOINT_STATE_SUB = _profile(10, reliable=False)

# A lost command leaves the arm on an old plan. JointTrajectoryController's subscriber uses the same.
TRAJECTORY = _profile(10)

# Chunk reports and episode progress are read by logs, none may be missing.
REPORT = _profile(100)

# State that a late joiner needs at once: camera_info, robot_description, arm mode, task success.
LATCHED = _profile(1, latched=True)

# What diagnostic_updater publishes with.
DIAGNOSTICS = _profile(10)

# As rclpy's own /clock subscription: only the newest time counts.
CLOCK = _profile(1, reliable=False)
