"""The bus wrapper with the real SDK on the virtual port: what LeRobot's own bus does not survive."""

import contextlib
import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.arm import IdealArm
from support.lerobot_arms import motors_bus

from prana_ros.simulation import registers as r
from prana_ros.simulation.registers import ErrorBits
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.so101 import bus as bus_module
from prana_ros.so101.bus import ArmBus, BusError, CommunicationError, PortLostError
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.port_lock import PortLock
from prana_ros.so101.units import counts_to_radians, lerobot_to_radians

HOLDER = """
import os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
print("holding", flush=True)
time.sleep(600)
"""


@pytest.fixture
def arm():
    return IdealArm((0.2, -0.5, 0.4, 0.3, -0.2, 0.6))


@pytest.fixture
def servos(arm, tmp_path):
    with ServoBus(arm, tmp_path / "arm") as bus:
        yield bus


@pytest.fixture
def bus(servos):
    bus = ArmBus(str(servos.link), twin_calibration(), reply_timeout=0.5)
    yield bus
    bus.close()


# -- connecting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "sentence"),
    [("/dev/ttyNOWHERE", "There is no port '/dev/ttyNOWHERE'"), ("/dev/zero", "is not a serial port")],
)
def test_a_wrong_port(port, sentence):
    with pytest.raises(BusError, match=sentence):
        ArmBus(port, twin_calibration()).connect()


def test_a_port_that_another_program_has_open_is_refused_and_left_alone(servos, bus, processes):
    process = processes.python("-c", HOLDER, servos.link)
    process.wait_for("holding")
    with pytest.raises(BusError, match=rf"is in use by python.* \(pid {process.pid}\)"):
        bus.connect()
    process.end()
    bus.connect()


def test_a_second_driver_is_refused_and_the_first_goes_on(servos, bus):
    bus.connect()
    second = ArmBus(str(servos.link), twin_calibration())
    with pytest.raises(BusError, match="is in use by"):
        second.connect()
    bus.read()
    bus.close()
    second.connect()
    second.close()


def test_a_program_that_takes_answers_away_is_noticed(servos, bus, monkeypatch):
    """Root may open an exclusive port; then answers go to whoever reads first: here, every third time, to the thief."""
    bus.reply_timeout = 0.05
    bus.connect()
    try:
        thief = os.open(servos.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        pytest.skip("this user may not open an exclusive port, which is better still")
    turns = itertools.count(1)

    def read_after_the_thief(descriptor: int, length: int) -> bytes:
        if next(turns) % 3 == 0:
            os.read(thief, 200)
        return read_available(descriptor, length)

    read_available = bus_module._read_available
    monkeypatch.setattr(bus_module, "_read_available", read_after_the_thief)
    try:
        for _ in range(30):
            with contextlib.suppress(CommunicationError):
                np.testing.assert_allclose(bus.read().position, servos.plant.position, atol=2e-3)
        assert bus.communication_errors.sum() > 0
        monkeypatch.undo()
        bus.read()
    finally:
        os.close(thief)


# -- reading and writing -----------------------------------------------------------------------------------------------


def test_a_reading_agrees_with_lerobots_bus_and_with_the_arm(servos, arm, bus):
    bus.connect()
    reading = bus.read()
    np.testing.assert_allclose(reading.position, arm.position, atol=2e-3)
    bus.close()
    oracle = motors_bus(servos.link)
    oracle.connect()
    values = oracle.sync_read("Present_Position")
    oracle.disconnect(disable_torque=False)
    np.testing.assert_allclose(reading.position, lerobot_to_radians([values[n] for n in JOINT_NAMES]), atol=1e-6)


def test_a_reading_is_stamped_in_the_middle_of_the_transaction(servos):
    ticks = iter([1000, 3000])
    bus = ArmBus(str(servos.link), twin_calibration(), clock_ns=lambda: next(ticks), reply_timeout=0.5)
    bus.connect()
    assert bus.read().stamp_ns == 2000
    bus.close()


def test_everything_that_the_servos_report_arrives(servos, arm, bus):
    bus.connect()
    arm.velocity = np.array([1.0, -1.0, 0.5, 0.0, 0.0, -0.2])
    arm.torque = np.array([1.47, -1.47, 0.0, 0.294, 0.0, -0.294])
    servos.servos[3].temperature = 41.0
    servos.servos[4].forced_errors = ErrorBits.OVERLOAD
    servos.supply_voltage = 11.0
    servos.update(0.0)
    reading = bus.read()
    np.testing.assert_allclose(reading.velocity, arm.velocity, atol=2e-3)
    np.testing.assert_allclose(reading.load, [0.5, -0.5, 0.0, 0.1, 0.0, -0.1], atol=1e-3)
    np.testing.assert_allclose(reading.current[:2], 1.35, atol=7e-3)
    assert reading.temperature[3] == 41.0
    assert reading.error_bits.tolist() == [0, 0, 0, 0, 32, 0]
    np.testing.assert_allclose(reading.voltage, 10.5, atol=0.16)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6))
def test_goals_arrive_rounded_and_never_leave_the_calibrated_range(servos, bus, goals):
    if not bus.is_connected:
        bus.connect()
    bus.write_goals(np.array(goals))
    calibration = twin_calibration()
    counts = np.array([bus.read_register("Goal_Position", name) for name in JOINT_NAMES])
    lower = np.array([calibration[name].range_min for name in JOINT_NAMES])
    upper = np.array([calibration[name].range_max for name in JOINT_NAMES])
    assert np.all((lower <= counts) & (counts <= upper))
    ends = counts_to_radians([lower, upper], calibration)
    np.testing.assert_allclose(counts_to_radians(counts, calibration), np.clip(goals, *ends), atol=8e-4)


def test_goals_that_are_no_numbers_are_not_sent(servos, bus):
    bus.connect()
    before = servos.packets
    with pytest.raises(ValueError, match="must be finite"):
        bus.write_goals(np.array([0.0, np.nan, 0.0, 0.0, 0.0, 0.0]))
    assert servos.packets == before


# -- a bad line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "corrupt"])
@pytest.mark.parametrize("count", [1, 6])
def test_one_bad_answer_costs_one_more_attempt(servos, bus, fault, count):
    bus.reply_timeout = 0.2
    bus.connect()
    setattr(servos.faults, fault, count)
    np.testing.assert_allclose(bus.read().position, servos.plant.position, atol=2e-3)
    assert bus.communication_errors.sum() >= count


def test_attempts_are_bounded_and_the_silent_motor_is_named(servos, bus):
    bus.connect()
    bus.reply_timeout = 0.1
    servos.servos[3].muted = True
    with pytest.raises(CommunicationError, match=r"No valid answer on .* from motor 4 \(wrist_flex\)"):
        bus.read()
    assert bus.communication_errors[3] == 2
    with pytest.raises(CommunicationError, match=r"motor 4 \(wrist_flex\) on .* does not answer"):
        bus.read_register("Lock", "wrist_flex")
    bus.read_register("Lock", "gripper")


def test_a_late_answer_never_passes_for_a_later_one(servos, arm, bus):
    """LeRobot's bus returns the stale positions, from then on and silently."""
    bus.connect()
    bus.reply_timeout = 0.1
    servos.faults.lateness = 0.15
    for step in range(1, 6):
        servos.faults.late = 6
        arm.position = np.full(6, 0.1 * step)
        servos.update(0.0)
        for _ in range(3):
            try:
                reading = bus.read()
            except CommunicationError:
                continue
            np.testing.assert_allclose(reading.position, arm.position, atol=2e-3)


@pytest.mark.timeout(60)
def test_a_line_that_takes_nothing_any_more_does_not_block_the_driver(servos, bus):
    """As with a hung adapter, or a simulator that was suspended."""
    bus.connect()
    os.write(servos._stopper, b"x")
    servos._thread.join()

    def fill_the_line():
        for _ in range(100_000):
            bus.write_goals(np.zeros(6))

    with pytest.raises(PortLostError, match="takes no more data"):
        fill_the_line()


def test_a_port_that_vanishes_while_it_is_taken_is_an_error_of_the_bus(servos, bus, monkeypatch):
    """Whoever tries to connect again and again, the servo loop, expects nothing else."""

    def vanish():
        servos.unplug()
        PortLock.shut_out(bus._lock)

    monkeypatch.setattr(bus._lock, "shut_out", vanish)
    with pytest.raises(BusError, match="cannot be taken"):
        bus.connect()
    assert not bus.is_connected


def test_error_bits_hinder_neither_reading_nor_writing(servos, bus):
    """LeRobot's bus raises at the first motor with an error bit and leaves the others as they are."""
    bus.connect()
    for name in JOINT_NAMES:
        bus.hold(name, 0.0)
    for servo in servos.servos[:3]:
        servo.forced_errors = ErrorBits.OVERLOAD
    assert bus.torque_off() == []
    assert not bus.torque_enabled().any()


def test_torque_off_names_those_that_it_did_not_reach_and_reaches_all_others(servos, bus):
    bus.connect()
    for name in JOINT_NAMES:
        bus.hold(name, 0.0)
    bus.reply_timeout = 0.05
    servos.servos[2].muted = True
    assert bus.torque_off() == ["elbow_flex"]
    assert [servo.get(r.TORQUE_ENABLE) for servo in servos.servos] == [0, 0, 1, 0, 0, 0]


def test_after_an_unplug_every_call_says_so_and_the_bus_can_be_closed_and_connected_again(servos, bus):
    bus.connect()
    servos.unplug()
    for action in (bus.read, lambda: bus.write_goals(np.zeros(6)), lambda: bus.read_register("Lock", "gripper")):
        with pytest.raises(PortLostError, match="has vanished; is the arm unplugged"):
            action()
    assert bus.torque_off() == list(JOINT_NAMES)
    bus.close()
    bus.close()
    with pytest.raises(PortLostError, match="is not open"):
        bus.read()
    with pytest.raises(BusError, match="There is no port"):
        bus.connect()
    servos.plug_in()
    bus.connect()
    bus.read()
