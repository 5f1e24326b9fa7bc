"""An arm for tests of the driver: ideal joints behind the real servo bus, in steps that the test makes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from prana_ros.simulation import registers
from prana_ros.simulation.servo import Servo
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.so101.bus import ArmBus
from prana_ros.so101.calibration import MotorCalibration, twin_calibration
from prana_ros.so101.driver import ArmDriver
from prana_ros.so101.driver_state import DriverMode, DriverSettings
from prana_ros.so101.model import ACTUATOR, JOINT_NAMES, REST_POSE
from prana_ros.so101.trajectory import Trajectory

PERIOD = 0.01
PERIOD_NS = 10_000_000
START_NS = 1_700_000_000 * 1_000_000_000
RAISED = np.array([0.3, -0.4, 0.6, 0.5, 0.2, 0.8])
FALL = 0.5
"""rad/s at which the shoulder goes down without torque."""


class IdealArm:
    """An ``ArmPlant`` whose joints follow their goals at up to 4.9 rad/s and whose shoulder falls without torque.

    ``floor`` (6,) rad is where something blocks a joint that moves downwards, ``load`` (6,) N·m what it must carry.
    """

    def __init__(self, position: Sequence[float] = REST_POSE) -> None:
        self.position = np.array(position, dtype=np.float64)
        self.velocity = np.zeros(6)
        self.torque = np.zeros(6)
        self.goal = self.position.copy()
        self.torque_enabled = np.zeros(6, dtype=bool)
        self.torque_limit = np.ones(6)
        self.floor = np.full(6, -np.inf)
        self.load = np.zeros(6)

    def step(self, period: float) -> None:
        wanted = np.where(self.torque_enabled, self.goal, self.position)
        step = np.clip(wanted - self.position, -4.9 * period, 4.9 * period)
        step[1] += 0.0 if self.torque_enabled[1] else FALL * period
        before = self.position
        self.position = np.maximum(before + step, self.floor)
        self.velocity = (self.position - before) / period
        limit = ACTUATOR.torque_limit * self.torque_limit * self.torque_enabled
        pull = ACTUATOR.position_gain * (wanted - self.position) + self.load
        self.torque = np.clip(pull, -limit, limit)


def calibrate(servo: Servo, motor: MotorCalibration) -> None:
    """Write a motor's calibrated range into its servo's memory, as LeRobot's calibration does."""
    servo.write(registers.LOCK.address, b"\0")
    servo.write(registers.MIN_POSITION.address, motor.range_min.to_bytes(2, "little"))
    servo.write(registers.MAX_POSITION.address, motor.range_max.to_bytes(2, "little"))
    servo.write(registers.LOCK.address, b"\1")


class Rig:
    """A driver on the virtual bus, with a clock that only ``run`` moves on."""

    def __init__(
        self,
        position: Sequence[float] = REST_POSE,
        link: object = None,
        reply_timeout: float = 0.5,
        calibration: Mapping[str, MotorCalibration] | None = None,
        **settings: object,
    ) -> None:
        self.calibration = calibration or twin_calibration()
        self.arm = IdealArm(position)
        self.bus = ServoBus(self.arm, link)
        for servo, motor in zip(self.bus.servos, self.calibration.values(), strict=True):
            calibrate(servo, motor)
        self.now_ns = START_NS
        # Far longer than the driver's own: a busy machine must not look like a bad line.
        self.reply_timeout = reply_timeout
        self.settings = DriverSettings(**settings)
        self.driver = self.new_driver()
        self.history: list[np.ndarray] = []
        """Positions of the joints, one row per cycle."""

    def new_driver(self) -> ArmDriver:
        """Another program that has not connected yet."""
        port = str(self.bus.link or self.bus.port)
        bus = ArmBus(port, self.calibration, lambda: self.now_ns, self.reply_timeout)
        return ArmDriver(bus, self.settings, now=lambda: (self.now_ns - START_NS) * 1e-9)

    def start(self) -> "Rig":
        """Connect and activate."""
        self.driver.connect()
        self.driver.activate()
        return self

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, one servo cycle every 10 ms, or until the condition holds."""
        for _ in range(round(seconds / PERIOD)):
            self.now_ns += PERIOD_NS
            self.step_arm()
            self.driver.cycle(self.now_ns)
            if until():
                return

    def step_arm(self) -> None:
        """Let the joints move for one period, without the driver."""
        self.bus.update(PERIOD)
        self.arm.step(PERIOD)
        self.history.append(self.arm.position.copy())

    def go(self, position: Sequence[float], seconds: float = 1.0, owner: str = "") -> None:
        """Send the arm somewhere."""
        point = np.array(position, dtype=np.float64)[None]
        self.driver.accept(Trajectory(owner, 0, JOINT_NAMES, np.array([seconds]), point), self.now_ns)

    def raise_arm(self) -> "Rig":
        """Start, and hold the arm up."""
        self.start()
        self.go(RAISED, 1.0)
        self.run(1.5)
        return self

    @property
    def state(self):
        """The driver's state now."""
        return self.driver.state(self.now_ns)

    @property
    def mode(self) -> DriverMode:
        """The driver's mode now."""
        return self.state.mode

    @property
    def torque(self) -> list[bool]:
        """Which servos have torque on."""
        return [bool(servo.get(registers.TORQUE_ENABLE)) for servo in self.bus.servos]

    def largest_step(self) -> float:
        """Largest move of a joint of the arm between two cycles so far, rad."""
        return float(np.abs(np.diff(np.array(self.history)[:, :5], axis=0)).max())

    def close(self) -> None:
        """Let everything go."""
        self.driver.close()
        self.bus.close()
