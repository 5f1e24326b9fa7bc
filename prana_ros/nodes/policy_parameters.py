"""The parameters of the policy node, and what they say to the core."""

from prana_ros.inference.denoising import Denoising
from prana_ros.inference.deployment import DeclaredFacts
from prana_ros.inference.engine import Settings
from prana_ros.inference.scheduler import SchedulingMode
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import Changeable, declare
from prana_ros.so101.units import Units


def declare_parameters(node: PranaNode) -> None:
    """Declare them all; the values are checked here one by one, and against the checkpoint at configure."""
    _declare_checkpoint(node)
    _declare_timing(node)
    _declare_limits(node)


def declared_facts(node: PranaNode) -> DeclaredFacts:
    """Return what the parameters say of the training data and of the robot."""
    return DeclaredFacts(
        joint_names=tuple(node.value("joint_names")),
        units=node.value("units"),
        fps=node.value("fps"),
        cameras=tuple(node.value("cameras")),
        camera_keys=node.value("camera_keys"),
        robot_id=node.value("robot_id"),
        calibration_dir=node.value("calibration_dir"),
    )


def denoising(node: PranaNode) -> Denoising:
    """Return how the policy is to denoise."""
    return Denoising(node.value("denoising_steps"), node.value("time_grid_shift"))


def engine_settings(node: PranaNode) -> Settings:
    """Return when chunks are made and how they are played."""
    overlap, execute = node.value("overlap_steps"), node.value("execute_steps")
    return Settings(
        mode=SchedulingMode(node.value("mode")),
        execute_steps=execute or None,
        overlap_steps=None if overlap < 0 else overlap,
        playback_rate=node.value("playback_rate"),
        seed=node.value("seed"),
    )


def _declare_checkpoint(node: PranaNode) -> None:
    declare(node, "policy_path", "", "Folder of a LeRobot checkpoint.")
    declare(node, "device", "auto", "Where to compute: cpu, cuda, ... or auto for the GPU where there is one.")
    declare(node, "torch_threads", 0, "Threads of a prediction on the CPU; 0 is all cores but one.", range=(0, 1024))
    declare(
        node,
        "denoising_steps",
        0,
        "Denoising steps of one prediction, fewer being faster and coarser; 0 is what the checkpoint says.",
        range=(0, 1000),
    )
    declare(
        node,
        "time_grid_shift",
        0.0,
        "Where the denoising steps lie, above 1 nearer to the noise, below nearer to the actions; 0 is the "
        "checkpoint's.",
        range=(0.0, 100.0),
    )
    declare(node, "cameras", [""], "Names of the robot's cameras; empty leaves the checkpoint's unchecked.")
    declare(
        node,
        "camera_keys",
        "",
        "The checkpoint's name of each camera that has another name here: table=Top-View,wrist=cam.high.",
    )
    declare(node, "joint_names", [""], "Joints of the training data in order, for a checkpoint that does not say them.")
    declare(
        node,
        "units",
        "",
        "Units of the training data, for a checkpoint that does not say them.",
        choices=("", *(unit.name.lower() for unit in Units)),
    )
    declare(
        node,
        "fps",
        0.0,
        "Frames per second of the training data, for a checkpoint that does not say them; 0 is not given.",
        range=(0.0, 1000.0),
    )
    declare(
        node, "robot_id", "", "Name of the arm's calibration, to compare with the checkpoint's; empty is not given."
    )
    declare(node, "calibration_dir", "", "Folder of the calibration files; empty is LeRobot's.")
    declare(node, "allow_unfitted_noise", False, "Run a policy whose noise was not fitted to its training data.")


def _declare_timing(node: PranaNode) -> None:
    declare(
        node,
        "mode",
        SchedulingMode.CONTINUOUS.value,
        "continuous replans as soon as an inference is done, rolling when a chunk is nearly used up.",
        choices=tuple(mode.value for mode in SchedulingMode),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "execute_steps",
        0,
        "Rolling: steps of a chunk to execute before the overlap; 0 is all others.",
        range=(0, 10_000),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "overlap_steps",
        -1,
        "Steps of the running plan left for the handover to the next; -1 is 3 (continuous) or 10 (rolling).",
        range=(-1, 10_000),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "playback_rate",
        1.0,
        "Speed of the actions relative to the training data.",
        range=(0.01, 10.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "seed",
        0,
        "Seed of the first chunk's noise; each further chunk counts one up.",
        range=(0, None),
        changeable=Changeable.INACTIVE,
    )
    declare(node, "frame_prefix", "", "What the names of the arm's frames begin with, such as left/.")
    declare(node, "dry_run", False, "Predict and report, but leave the arm alone.")


def _declare_limits(node: PranaNode) -> None:
    declare(
        node,
        "max_input_age",
        0.5,
        "Age in s above which an input is too old to act on.",
        range=(0.01, 10.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "activation_timeout",
        10.0,
        "Wall time in s in which every camera and joint_states must have sent something when the node is activated.",
        range=(0.1, 120.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "min_camera_rate",
        0.4,
        "Lowest rate of a camera that is accepted when the node is activated, as a fraction of the policy's rate (fps "
        "times playback_rate); 0 accepts any.",
        range=(0.0, 1.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "input_timeout",
        2.0,
        "Wall time in s without a usable observation that ends a run.",
        range=(0.1, 60.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "state_margin",
        0.1,
        "How far beyond the joints' training range a run may start, as a fraction of that range.",
        range=(0.0, 100.0),
        changeable=Changeable.INACTIVE,
    )
    declare(
        node,
        "heartbeat_timeout",
        3.0,
        "Wall time in s without a heartbeat after which the driver stops the arm; 0 is never.",
        range=(0.0, 60.0),
    )
