"""The driver's state as messages."""

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header

from prana_msgs.msg import ArmState, MotorState
from prana_ros.messages.diagnostics import ERROR, OK, WARN, status_to_msg
from prana_ros.messages.standard import stamp_from_ns
from prana_ros.so101.driver_state import DriverState
from prana_ros.so101.loop_timing import LoopTiming
from prana_ros.so101.model import JOINT_NAMES


def arm_state_to_msg(state: DriverState, timing: LoopTiming, stamp_ns: int) -> ArmState:
    """Return what the driver does with the arm, and how the arm is."""
    counters = state.counters
    return ArmState(
        header=Header(stamp=stamp_from_ns(stamp_ns)),
        mode=state.mode,
        stop_reason=state.stop_reason,
        stop_message=state.stop_message,
        owner=state.owner,
        trajectories_accepted=counters.accepted,
        trajectories_refused=counters.refused,
        last_refusal=counters.last_refusal,
        commands_sent=counters.commands_sent,
        commands_lost=counters.commands_lost,
        commands_limited=state.commands_limited,
        cycle_rate=timing.rate(),
        period_error_p99=timing.period_error_p99(),
        motors=_motors(state),
    )


def arm_diagnostics(arm: ArmState, node_name: str, hardware_id: str) -> list[DiagnosticStatus]:
    """Return one line of diagnostics for the arm and one for each motor."""
    statuses = [_arm_status(arm, node_name, hardware_id)]
    partly_off = arm.mode == ArmState.MODE_TORQUE_PARTLY_OFF
    statuses += [_motor_status(motor, node_name, hardware_id, partly_off) for motor in arm.motors]
    return statuses


def _motors(state: DriverState) -> list[MotorState]:
    errors = state.communication_errors
    reading = state.reading
    if reading is None:
        return [
            MotorState(name=name, torque=bool(state.torque[i]), communication_errors=int(errors[i]))
            for i, name in enumerate(JOINT_NAMES)
        ]
    return [
        MotorState(
            name=name,
            temperature=float(reading.temperature[i]),
            voltage=float(reading.voltage[i]),
            load=float(reading.load[i]),
            current=float(reading.current[i]),
            error_bits=int(reading.error_bits[i]),
            torque=bool(state.torque[i]),
            communication_errors=int(errors[i]),
        )
        for i, name in enumerate(JOINT_NAMES)
    ]


_MODE_NAMES = {
    ArmState.MODE_TORQUE_OFF: "torque off",
    ArmState.MODE_HOLDING: "holding",
    ArmState.MODE_FOLLOWING: "following",
    ArmState.MODE_RETURNING: "returning to rest",
    ArmState.MODE_STOPPED: "stopped",
    ArmState.MODE_TORQUE_PARTLY_OFF: "torque partly off",
}


def _arm_status(arm: ArmState, node_name: str, hardware_id: str) -> DiagnosticStatus:
    stopped = arm.stop_reason != ArmState.STOP_NONE
    values = (
        ("owner", arm.owner),
        ("trajectories accepted", arm.trajectories_accepted),
        ("trajectories refused", arm.trajectories_refused),
        ("last refusal", arm.last_refusal),
        ("commands sent", arm.commands_sent),
        ("commands lost", arm.commands_lost),
        ("commands limited", arm.commands_limited),
        ("cycle rate (Hz)", f"{arm.cycle_rate:.2f}"),
        ("period error p99 (ms)", f"{1e3 * arm.period_error_p99:.2f}"),
    )
    message = arm.stop_message if stopped else _MODE_NAMES[arm.mode]
    return status_to_msg(f"{node_name}: arm", message, values, ERROR if stopped else OK, hardware_id)


def _motor_status(motor: MotorState, node_name: str, hardware_id: str, partly_off: bool) -> DiagnosticStatus:
    level, message = OK, "ok"
    if motor.error_bits:
        level, message = WARN, f"error bits {motor.error_bits}"
    if partly_off and not motor.torque:
        level, message = ERROR, "no torque, while other motors hold the arm"
    values = (
        ("torque", "on" if motor.torque else "off"),
        ("temperature (°C)", f"{motor.temperature:.0f}"),
        ("voltage (V)", f"{motor.voltage:.1f}"),
        ("load", f"{motor.load:.3f}"),
        ("current (A)", f"{motor.current:.3f}"),
        ("communication errors", motor.communication_errors),
    )
    return status_to_msg(f"{node_name}: {motor.name}", message, values, level, hardware_id)
