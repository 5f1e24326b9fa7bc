"""Real LeRobot arms on a port, on a machine that other tests keep busy."""

from pathlib import Path

from lerobot.motors import Motor, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus
from lerobot.robots.so_follower import SO101Follower, SO101FollowerConfig
from lerobot.teleoperators.so_leader import SO101Leader, SO101LeaderConfig

from prana_ros.so101.calibration import twin_calibration

PATIENCE_MS = 5000.0


def be_patient(bus: FeetechMotorsBus, milliseconds: float = PATIENCE_MS) -> None:
    """Wait longer for an answer than LeRobot's 50 ms, which a loaded machine may take for nothing at all."""
    handler = bus.port_handler

    def set_packet_timeout(_length: int) -> None:
        handler.setPacketTimeoutMillis(milliseconds)

    handler.setPacketTimeout = set_packet_timeout


def motors_bus(port: str | Path, patience_ms: float = PATIENCE_MS) -> FeetechMotorsBus:
    """A FeetechMotorsBus with the twin's calibration, not connected."""
    calibration = twin_calibration()
    modes = dict.fromkeys(calibration, MotorNormMode.DEGREES) | {"gripper": MotorNormMode.RANGE_0_100}
    motors = {name: Motor(motor.id, "sts3215", modes[name]) for name, motor in calibration.items()}
    bus = FeetechMotorsBus(str(port), motors, calibration)
    be_patient(bus, patience_ms)
    return bus


def follower(port: str | Path, directory: Path) -> SO101Follower:
    """A follower arm that knows the twin's calibration, not connected."""
    return _prepared(SO101Follower(SO101FollowerConfig(port=str(port), id="follower", calibration_dir=directory)))


def leader(port: str | Path, directory: Path) -> SO101Leader:
    """A leader arm that knows the twin's calibration, not connected."""
    return _prepared(SO101Leader(SO101LeaderConfig(port=str(port), id="leader", calibration_dir=directory)))


def _prepared[Arm: (SO101Follower, SO101Leader)](arm: Arm) -> Arm:
    arm.calibration = arm.bus.calibration = twin_calibration()
    be_patient(arm.bus)
    return arm
