"""The driver of one arm, without ROS: plan, limits, stop ladder and ownership around the bus.

One thread calls :meth:`ArmDriver.cycle` at servo rate from :meth:`~ArmDriver.connect` to :meth:`~ArmDriver.close`;
everything else may be called from any other thread. Plans live on the clock of ``now_ns``, which may be a simulated
one; everything that protects the arm uses the monotonic clock.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from prana_ros.so101.arm_reading import ArmReading
from prana_ros.so101.arm_watch import OVERLOAD_BITS, ArmWatch, WatchLimits
from prana_ros.so101.bus import ArmBus, BusError, CommunicationError
from prana_ros.so101.driver_state import Counters, DriverMode, DriverSettings, DriverState, RefusedError
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.motion import Motion, motion_limits
from prana_ros.so101.motor_torque import MotorTorque
from prana_ros.so101.ownership import Ownership
from prana_ros.so101.stop_ladder import Rung, StopLadder, StopReason
from prana_ros.so101.trajectory import NANOSECONDS, Trajectory

TAKEOVER_TOLERANCE = 0.15
"""rad: a goal that a servo holds already is kept if the arm is this near to it, so that it does not sag further."""
REST_TOLERANCE = 0.25
"""rad: nearer than this to the rest pose the arm lies on itself."""
REST_PATIENCE = 5.0
"""Seconds after the end of the way to rest after which the arm must be blocked."""
RECONNECT_INTERVAL = 1.0
"""Seconds between attempts to reach an arm that was unplugged."""


@dataclass
class ArmDriver:
    """Drives the arm on ``bus``; ``now`` is a monotonic clock in seconds."""

    bus: ArmBus
    settings: DriverSettings = field(default_factory=DriverSettings)
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._mutex = threading.RLock()
        settings = self.settings
        limits = motion_limits(self.bus.calibration, settings)
        self._motion = Motion(limits, settings.rate, np.asarray(settings.rest_pose), settings.rest_velocity)
        self._ladder = StopLadder()
        self._ownership = Ownership()
        self._counters = Counters()
        self._active = False
        self._torque = MotorTorque(settings.rate)
        self._unanswered: list[str] = []
        self.reading: ArmReading | None = None
        self.commanded: np.ndarray | None = None
        """Goal positions (6,) in rad as last sent; None before the first."""

    # -- lifecycle -----------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach the arm and read it; nothing moves and torque stays as it is. Raises :class:`BusError`."""
        with self._mutex:
            self.bus.connect()
            try:
                self._adopt()
            except BusError:
                self.bus.close()
                raise

    def activate(self) -> None:
        """Hold the arm where it is, with torque on; in a dry run leave the torque as it is.

        Raises :class:`BusError`, or :class:`RefusedError` without having given a motor torque.
        """
        with self._mutex:
            if not self._ladder.in_force and not self.settings.dry_run:
                self._hold_with_torque()
            self._active = True

    def limit(self, settings: DriverSettings) -> None:
        """Take other limits of velocity and acceleration, for the way to rest too, from the next cycle on."""
        with self._mutex:
            self._motion.restrict(motion_limits(self.bus.calibration, settings), settings.rest_velocity)

    def deactivate(self) -> None:
        """Come to a halt and hold; trajectories are refused from now on."""
        with self._mutex:
            self._active = False
            self._ownership.revoke()
            self._motion.halt()

    def begin_shutdown(self) -> None:
        """Walk down the stop ladder; the cycles must go on until :meth:`shutdown_result` is there."""
        with self._mutex:
            self._active = False
            self._stop(StopReason.SHUTDOWN, "The driver is shutting down.")

    def shutdown_result(self, now_ns: int) -> str | None:
        """None while the arm is on its way to rest, then how it ended: empty if torque is off, else one sentence."""
        with self._mutex:
            if not self._torque.any:
                return ""
            if not self.bus.is_connected:
                return f"There is no contact to the arm on '{self.bus.port}'; its servos hold their last goal."
            if self._unanswered:
                return f"The torque of {', '.join(self._unanswered)} could not be switched off: no answer."
            if not self._may_move and not self._is_at_rest(now_ns):
                why = "this is a dry run" if self.settings.dry_run else f"{self._torque.limp_motors} has no torque"
                return f"The arm was not moved to rest, because {why}; the torque stays on."
            late = (now_ns - self._motion.end_ns) / NANOSECONDS
            if self._motion.returning and late > REST_PATIENCE and self.reading is not None:
                joint, position, rest = self._motion.farthest_from_rest(self.reading.position)
                return (
                    f"The arm did not come to rest: {joint} is at {position:.2f} rad instead of {rest:.2f} rad. "
                    "Its torque stays on."
                )
            return None

    def close(self) -> None:
        """Close the port; the servos go on as they are."""
        with self._mutex:
            self.bus.close()

    # -- commands ------------------------------------------------------------------------------------------------------

    def accept(self, trajectory: Trajectory, now_ns: int) -> None:
        """Play ``trajectory`` from ``now_ns`` on. Raises ``ValueError``, one sentence, if it is refused and counted."""
        with self._mutex:
            try:
                self._check_ready("A trajectory")
                self._ownership.check(trajectory.owner)
                self._motion.accept(trajectory, now_ns)
            except ValueError as error:
                self.refuse(str(error))
                raise
            self._ownership.heard(self.now())
            self._counters.accepted += 1

    def refuse(self, reason: str) -> None:
        """Count a trajectory that was refused for ``reason``, one sentence."""
        with self._mutex:
            self._counters.refused += 1
            self._counters.last_refusal = reason

    def acquire(self, owner: str, heartbeat_timeout: float) -> None:
        """Give the arm to ``owner``. Raises ``ValueError`` with one sentence."""
        with self._mutex:
            if self._ladder.in_force:
                raise RefusedError(f"The arm is stopped and cannot be taken: {self._ladder.message}")
            previous = self._ownership.owner
            self._ownership.acquire(owner, heartbeat_timeout, self.now())
            if previous not in ("", owner):
                self._motion.halt()  # a human takes over from a program: its plan must not outlive its ownership

    def release(self, owner: str) -> None:
        """Take the arm back from ``owner``, who owns it. Raises ``ValueError`` with one sentence."""
        with self._mutex:
            self._ownership.release(owner)

    def set_torque(self, on: bool) -> None:
        """Switch the torque. Raises :class:`RefusedError` or :class:`BusError`.

        Off lets the arm go wherever it is; that is what was asked for.
        """
        with self._mutex:
            if on:
                self._check_active("Torque")
                if not self._ladder.only_holds:
                    raise RefusedError(f"Torque is refused while the arm is stopped: {self._ladder.message}")
                self._hold_with_torque()
                return
            failed = self._let_go()
            self._ownership.revoke()
            if failed:
                raise BusError(f"The torque of {', '.join(failed)} could not be switched off: no answer.")

    def stop(self, message: str) -> None:
        """Stop the arm where it is, until the stop is cleared."""
        with self._mutex:
            self._stop(StopReason.SERVICE, message)

    def clear_stop(self) -> str:
        """End a stop; the arm holds, or what is returned says that it cannot. Raises ``ValueError``, one sentence."""
        with self._mutex:
            if not self._ladder.in_force:
                raise RefusedError("No stop is in force.")
            if not self.bus.is_connected:
                raise RefusedError(f"There is no contact to the arm on '{self.bus.port}' yet: {self._ladder.message}")
            if self._torque.is_lost:
                raise RefusedError(f"{self._torque.lost_sentence} Only then can the stop be cleared.")
            self._ladder.clear()
            self._motion.halt()
            return "" if self._torque.any else "The torque is off; set_torque switches it on where the arm is."

    def go_to_rest(self, now_ns: int) -> float:
        """Set out slowly for the rest pose; returns the seconds that it takes. Raises ``ValueError``."""
        with self._mutex:
            self._check_ready("The way to rest")
            if self._ownership.owner:
                raise RefusedError(f"The arm belongs to '{self._ownership.owner}'; it must release the arm first.")
            return self._motion.return_to_rest(now_ns)

    def state(self, now_ns: int) -> DriverState:
        """What is to be reported at ``now_ns``."""
        with self._mutex:
            return DriverState(
                mode=self._mode(now_ns),
                stop_reason=self._ladder.reason,
                stop_message=self._ladder.message,
                owner=self._ownership.owner,
                counters=Counters(**vars(self._counters)),
                commands_limited=self._motion.limited,
                reading=self.reading,
                torque=self._torque.on.copy(),
                communication_errors=self.bus.communication_errors.copy(),
            )

    # -- the servo cycle -----------------------------------------------------------------------------------------------

    def cycle(self, now_ns: int) -> bool:
        """Send the goals for ``now_ns``, read the servos, judge what they say; returns whether they answered."""
        with self._mutex:
            now = self.now()
            if not self.bus.is_connected:
                self._counters.commands_lost += self._torque.any
                self._reconnect(now)
                return False
            self._descend(now_ns, now)
            self._send_goals(now_ns)
            answered = self._read(now)
            self._watch_torque(now)
            self._watch_arm(now)
            return answered

    def _send_goals(self, now_ns: int) -> None:
        if not self._torque.any or self.settings.dry_run:
            return
        goal = self._motion.goals(now_ns, self.reading)
        try:
            self.bus.write_goals(goal)
        except BusError as error:
            self._counters.commands_lost += 1
            self._lose_contact(error)
            return
        self.commanded = goal
        self._counters.commands_sent += 1

    def _read(self, now: float) -> bool:
        if not self.bus.is_connected:
            return False
        try:
            self.reading = self.bus.read()
        except BusError as error:
            self._lose_contact(error)
            return False
        self._last_answer = now
        return True

    def _watch_arm(self, now: float) -> None:
        if self._ownership.is_lost(now):
            owner, silence = self._ownership.owner, self._ownership.silence(now)
            self._stop(
                StopReason.LOST_COMMANDER,
                f"'{owner}' sent no trajectory for {silence:.2f} s; it had promised one every "
                f"{self._ownership.heartbeat_timeout:.2f} s.",
            )
        if self.reading is not None and self._torque.any:
            for reason, message in self._watch.check(self.reading, now):
                self._stop(reason, message)

    # -- torque of each motor ------------------------------------------------------------------------------------------

    @property
    def _may_move(self) -> bool:
        """Whether the driver moves the arm: not with a joint that hangs, and not in a dry run."""
        return self._torque.all and not self.settings.dry_run

    def _watch_torque(self, now: float) -> None:
        """Ask one motor after the other whether it still has torque: one that lost its power comes back without."""
        if not self.bus.is_connected:
            return
        try:
            if not self._torque.has_changed(self.bus):
                return
            self._adopt()
        except CommunicationError:
            return  # the block read of every cycle judges the line
        except BusError as error:
            self._lose_contact(error)
            return
        if self._torque.given and not self._torque.all:
            self._stop(StopReason.TORQUE_LOST, self._torque.lost_sentence)
            # After a loss of power the servo must be set up again before it gets torque.
            self.bus.close()
            self._reconnect_at = now

    # -- contact -------------------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Take the arm over as it is found: what has torque goes on holding what it holds."""
        self.reading = self.bus.read()
        self._last_answer = self.now()
        self._torque.on = self.bus.torque_enabled()
        position = self.reading.position
        if self._torque.any:
            goals = self.bus.goals()
            keep = self._torque.on & (np.abs(goals - position) < TAKEOVER_TOLERANCE)
            position = np.where(keep, goals, position)
        self._motion.start_from(position)
        limits = WatchLimits(
            self.settings.max_temperature,
            self.settings.min_voltage,
            np.minimum(self._motion.limits.lower, position),
            np.maximum(self._motion.limits.upper, position),
        )
        self._watch = ArmWatch(limits)

    def _lose_contact(self, error: BusError) -> None:
        """Close the port, to be opened anew: after a loss of power the servos must be set up again, too."""
        silence = self.now() - self._last_answer
        if isinstance(error, CommunicationError) and silence < self.settings.communication_timeout:
            return
        self.bus.close()
        self._reconnect_at = self.now() + RECONNECT_INTERVAL
        self._stop(StopReason.COMMUNICATION, str(error))

    def _reconnect(self, now: float) -> None:
        if now < self._reconnect_at:
            return
        try:
            self.bus.connect()
            self._adopt()
        except BusError as error:
            self.bus.close()
            self._explain_loss(str(error))
            self._reconnect_at = self.now() + RECONNECT_INTERVAL
            return
        if self._torque.is_lost:
            self._explain_loss(self._torque.lost_sentence)

    def _explain_loss(self, sentence: str) -> None:
        for reason in (StopReason.COMMUNICATION, StopReason.TORQUE_LOST):
            self._ladder.explain(reason, sentence)

    # -- motion --------------------------------------------------------------------------------------------------------

    def _hold_with_torque(self) -> None:
        """Torque on in every motor, with the position that it has as its goal; in none if one cannot be held there."""
        self._adopt()
        assert self.reading is not None
        self._torque.switch_on(self.bus, self.reading, self._motion.position)

    def _let_go(self) -> list[str]:
        """Torque off; returns the motors that did not answer."""
        self._unanswered = self.bus.torque_off() if self.bus.is_connected else list(JOINT_NAMES)
        self._torque.switched_off(self._unanswered)
        self._motion.halt()
        return self._unanswered

    # -- stopping ------------------------------------------------------------------------------------------------------

    def _stop(self, reason: StopReason, message: str) -> None:
        if not self._ladder.trigger(reason, message, self.now()):
            return
        self._ownership.revoke()
        if self._ladder.rung is Rung.HOLD:
            self._motion.halt()
        if reason is StopReason.OVERLOAD:
            self._relieve()

    def _relieve(self) -> None:
        """Hold where the arm is, not where it was going, and end the protection of the overloaded servos."""
        assert self.reading is not None
        overloaded = (self.reading.error_bits & OVERLOAD_BITS) != 0
        position = np.where(overloaded, self.reading.position, self._motion.position)
        self._motion.start_from(position)
        try:
            for i in np.flatnonzero(overloaded):
                self.bus.hold(JOINT_NAMES[i], position[i])
        except BusError as error:
            self._lose_contact(error)

    def _descend(self, now_ns: int, now: float) -> None:
        """Go down the ladder as far as it is time to."""
        rung = self._ladder.update(now, self._is_at_rest(now_ns))
        if rung is Rung.RETURN and not self._motion.returning and self._may_move:
            # The way to rest begins, or goes on after a deactivation or a lost contact interrupted it.
            self._motion.return_to_rest(now_ns)
        if rung is Rung.OFF and self._torque.any:
            self._let_go()

    def _is_at_rest(self, now_ns: int) -> bool:
        if not self._torque.any:
            return True
        if self.reading is None:
            return False
        if self._may_move and (not self._motion.returning or now_ns < self._motion.end_ns):
            return False
        _, position, rest = self._motion.farthest_from_rest(self.reading.position)
        return abs(position - rest) < REST_TOLERANCE

    def _check_ready(self, what: str) -> None:
        """Raise :class:`RefusedError` unless the arm can be moved."""
        if self._ladder.in_force:
            raise RefusedError(f"{what} is refused while the arm is stopped: {self._ladder.message}")
        self._check_active(what)
        if self.settings.dry_run:
            raise RefusedError(f"{what} is refused: this is a dry run, in which the arm does not move.")
        if not self._torque.any:
            raise RefusedError(f"{what} is refused: the torque is off; set_torque switches it on.")
        if not self._torque.all:
            raise RefusedError(f"{what} is refused: {self._torque.lost_sentence}")

    def _check_active(self, what: str) -> None:
        if not self._active:
            raise RefusedError(f"{what} is refused: the driver is not active.")

    def _mode(self, now_ns: int) -> DriverMode:
        if not self._torque.any:
            return DriverMode.TORQUE_OFF
        if not self._torque.all:
            return DriverMode.TORQUE_PARTLY_OFF
        if self._ladder.in_force and not self._motion.returning:
            return DriverMode.STOPPED
        if now_ns >= self._motion.end_ns:
            return DriverMode.RETURNING if self._ladder.in_force else DriverMode.HOLDING
        return DriverMode.RETURNING if self._motion.returning else DriverMode.FOLLOWING
