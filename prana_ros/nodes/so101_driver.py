"""Driver node: the ROS shell around :class:`prana_ros.so101.driver.ArmDriver`.

Configuring reads the arm, activating holds it, deactivating brakes and holds, cleaning up or shutting down brings it
to rest and switches its torque off. The servo loop runs from configure to cleanup, so the arm is watched throughout.

``joint_states`` has positions in rad, velocities in rad/s, and in ``effort`` each servo's load as a signed fraction of
its stall torque; ``~/commanded`` has the goals that were sent to the servos.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from prana_msgs.msg import ArmState
from prana_msgs.srv import Acquire, Release
from prana_ros.messages.arm import arm_diagnostics, arm_state_to_msg
from prana_ros.messages.diagnostics import diagnostics_to_msg
from prana_ros.messages.standard import joint_state_to_msg, trajectory_from_msg
from prana_ros.nodes import qos
from prana_ros.nodes.lifecycle import PranaNode
from prana_ros.nodes.parameters import ParameterError
from prana_ros.nodes.run_node import run_node
from prana_ros.nodes.so101_driver_parameters import declare_parameters, driver_settings
from prana_ros.so101.bus import ArmBus
from prana_ros.so101.calibration import calibration_path, read_calibration
from prana_ros.so101.driver import ArmDriver
from prana_ros.so101.extrapolated_clock import ExtrapolatedClock
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.servo_loop import ServoLoop
from prana_ros.so101.stop_ladder import StopReason
from prana_ros.so101.urdf import robot_description

WATCH_PERIOD = 0.05
"""Seconds between looks for a change worth reporting."""
REPORT_PERIOD = 1.0
"""Seconds between reports without a change."""
SHUTDOWN_TIME = 120.0
"""Seconds that the way to rest may take: it is slow, and slower on a twin below real time."""


class So101DriverNode(PranaNode):
    """Plays ``joint_trajectory`` on the arm."""

    def __init__(self) -> None:
        super().__init__("so101_driver")
        declare_parameters(self)
        self._driver: ArmDriver | None = None
        self._loop: ServoLoop | None = None

    # -- lifecycle -----------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Connect to the arm and start the servo loop; nothing moves."""
        if not self.value("port"):
            raise ParameterError("port is empty; name the arm's serial port, such as /dev/ttyACM0.")
        calibration = read_calibration(calibration_path(self.value("robot_id"), self.value("calibration_dir") or None))
        settings = driver_settings(self)
        simulated = self.value("use_sim_time")
        self._clock_ns: Callable[[], int] = ExtrapolatedClock(self.now_ns) if simulated else self.now_ns
        bus = ArmBus(self.value("port"), calibration, self._clock_ns, write_calibration=self.value("write_calibration"))
        self._driver = ArmDriver(bus, settings)
        self._driver.connect()
        self._create_interfaces()
        self._reported: tuple[Any, ...] = ()
        self._report_at = 0.0
        self._loop = ServoLoop(self._cycle, settings.rate, self._clock_ns, simulated)
        self._loop.start()

    def activate(self) -> None:
        """Hold the arm, torque on (in a dry run as it is), and begin to listen."""
        assert self._driver is not None
        self._driver.activate()
        self._description.publish(String(data=robot_description()))
        self._report(force=True)

    def deactivate(self) -> None:
        """Brake and hold."""
        if self._driver is not None:
            self._driver.deactivate()
            self._report(force=True)

    def cleanup(self) -> None:
        """Bring the arm to rest, switch the torque off, close the port."""
        if self._driver is None:
            return
        if self._loop is not None and self._loop.is_running:
            self._bring_to_rest(self._driver, self._loop)
            self._loop.stop()
        self._driver.close()
        self._driver = self._loop = None

    def apply_change(self, name: str, value: Any) -> None:
        """Let a lower limit hold from the next cycle on."""
        if self._driver is not None:
            self._driver.limit(driver_settings(self))

    def _create_interfaces(self) -> None:
        # Not lifecycle publishers: an arm that an inactive driver holds, or brings to rest, is to be seen.
        self._joints = self.create_publisher(JointState, "joint_states", qos.JOINT_STATE_PUB)
        self._commanded = self.create_publisher(JointState, "~/commanded", qos.JOINT_STATE_PUB)
        self._arm_state = self.create_publisher(ArmState, "~/arm_state", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self._description = self.create_lifecycle_publisher(String, "robot_description", qos.LATCHED)
        self.create_subscription(JointTrajectory, "joint_trajectory", self._take_trajectory, qos.TRAJECTORY)
        self.create_service(Acquire, "~/acquire", self._acquire)
        self.create_service(Release, "~/release", self._release_arm)
        self.create_service(SetBool, "~/set_torque", self._set_torque)
        self.create_service(Trigger, "~/stop", self._stop)
        self.create_service(Trigger, "~/clear_stop", self._clear_stop)
        self.create_service(Trigger, "~/go_to_rest", self._go_to_rest)
        self.create_timer(WATCH_PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _bring_to_rest(self, driver: ArmDriver, loop: ServoLoop) -> None:
        driver.begin_shutdown()
        deadline = time.monotonic() + SHUTDOWN_TIME
        while (result := driver.shutdown_result(self._clock_ns())) is None and loop.is_running:
            if time.monotonic() > deadline:
                result = f"The arm did not come to rest in {SHUTDOWN_TIME:.0f} s; its torque stays on."
                break
            self._report()
            time.sleep(WATCH_PERIOD)
        if result is None:
            result = f"The servo loop has ended on the way to rest ({loop.failure!r}); the servos hold their last goal."
        if result:
            self.get_logger().error(result)

    # -- the servo thread ----------------------------------------------------------------------------------------------

    def _cycle(self, now_ns: int) -> None:
        assert self._driver is not None
        commanded_before = self._driver.commanded
        answered = self._driver.cycle(now_ns)
        reading, commanded = self._driver.reading, self._driver.commanded
        if answered and reading is not None:
            self._joints.publish(
                joint_state_to_msg(JOINT_NAMES, reading.position, reading.velocity, reading.load, reading.stamp_ns)
            )
        if commanded is not None and commanded is not commanded_before:
            self._commanded.publish(joint_state_to_msg(JOINT_NAMES, commanded, None, None, now_ns))

    # -- the executor's thread -----------------------------------------------------------------------------------------

    def _take_trajectory(self, msg: JointTrajectory) -> None:
        driver = self._driver
        if driver is None:
            return  # it came while the arm was brought to rest
        try:
            trajectory = trajectory_from_msg(msg)
        except ValueError as error:
            refusal = str(error)
            driver.refuse(refusal)
        else:
            refusal = _refusal(lambda: driver.accept(trajectory, self._clock_ns()))
        if refusal:
            self.get_logger().warning(f"trajectory refused: {refusal}", throttle_duration_sec=1.0)

    def _report(self, force: bool = False) -> None:
        if self._driver is None or self._loop is None:
            return  # the timer was due while the arm was brought to rest, and is called when it is gone already
        if not self._loop.is_running:
            self.get_logger().fatal(
                f"the servo loop has ended ({self._loop.failure!r}); the servos hold their last goal"
            )
            self.finish(1)
            return
        now_ns = self._clock_ns()
        state = self._driver.state(now_ns)
        key = (state.mode, state.stop_reason, state.stop_message, state.owner, state.counters.refused)
        if not force and key == self._reported and time.monotonic() < self._report_at:
            return
        if state.stop_reason not in (StopReason.NONE, StopReason.SHUTDOWN) and key[1:3] != self._reported[1:3]:
            self.get_logger().error(f"stopped: {state.stop_message}")
        msg = arm_state_to_msg(state, self._loop.timing, now_ns)
        self._arm_state.publish(msg)
        if time.monotonic() >= self._report_at:
            lines = arm_diagnostics(msg, self.get_fully_qualified_name(), self.value("robot_id"))
            self._diagnostics.publish(diagnostics_to_msg(lines, now_ns))
            self._report_at = time.monotonic() + REPORT_PERIOD
        self._reported = key

    def _acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        return self._answer(response, lambda driver: driver.acquire(request.owner, request.heartbeat_timeout))

    def _release_arm(self, request: Release.Request, response: Release.Response) -> Release.Response:
        return self._answer(response, lambda driver: driver.release(request.owner))

    def _set_torque(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._answer(response, lambda driver: driver.set_torque(request.data))

    def _stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, lambda driver: driver.stop("The stop service was called."))

    def _clear_stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        def clear(driver: ArmDriver) -> None:
            response.message = driver.clear_stop()

        return self._answer(response, clear)

    def _go_to_rest(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        def go(driver: ArmDriver) -> None:
            response.message = f"The arm will be at rest in {driver.go_to_rest(self._clock_ns()):.1f} s."

        return self._answer(response, go)

    def _answer(self, response: Any, action: Callable[[ArmDriver], None]) -> Any:
        """Fill ``success`` and ``message``, and report what changed before the answer goes out."""
        driver = self._driver
        if driver is None:
            response.message = "The driver is not configured."
            return response
        refusal = _refusal(lambda: action(driver))
        response.success = not refusal
        if refusal:
            response.message = refusal
        self._report()
        return response


def _refusal(action: Callable[[], None]) -> str:
    """Return why ``action`` was refused, empty if it was not."""
    try:
        action()
    except (ValueError, RuntimeError) as error:
        return str(error)
    return ""


def main() -> int:
    """Run the node until it is stopped."""
    # The servo loop must not wait the usual 5 ms for the interpreter while a message is being taken in.
    sys.setswitchinterval(0.0005)
    return run_node(So101DriverNode)


if __name__ == "__main__":
    sys.exit(main())
