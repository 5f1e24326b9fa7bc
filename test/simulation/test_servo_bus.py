"""The line: packets on a pseudo-terminal, as a bare serial port, scservo_sdk and LeRobot see it."""

import os
import time

import numpy as np
import pytest
import scservo_sdk as scs
import serial
from hypothesis import given
from hypothesis import strategies as st
from support.kinematic_plant import KinematicPlant, running
from support.lerobot_arms import follower, motors_bus

from prana_ros.simulation import registers as r
from prana_ros.simulation import servo_bus
from prana_ros.simulation.registers import ErrorBits
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.so101.calibration import position_range, twin_calibration
from prana_ros.so101.model import JOINT_NAMES, JOINTS
from prana_ros.so101.units import counts_to_radians

pytestmark = pytest.mark.usefixtures("measures_time")

PATIENCE = 10.0
NAMES = list(JOINT_NAMES)


def request(servo_id: int, instruction: int, *parameters: int) -> bytes:
    """A packet, made here by the book: FF FF ID LEN INST params and the complement of their sum."""
    body = [servo_id, len(parameters) + 2, instruction, *parameters]
    return bytes([0xFF, 0xFF, *body, 255 - sum(body) % 256])


@pytest.fixture
def plant():
    return KinematicPlant()


@pytest.fixture
def bus(plant, tmp_path):
    with ServoBus(plant, tmp_path / "arm") as bus:
        yield bus


@pytest.fixture
def line(bus):
    with serial.Serial(str(bus.link), 1_000_000, timeout=PATIENCE) as line:
        yield line


def listen(line: serial.Serial, count: int) -> bytes:
    """The next ``count`` bytes."""
    answer = line.read(count)
    assert len(answer) == count, f"only {answer.hex()} came"
    return answer


def assert_silent(line: serial.Serial, after: bytes) -> None:
    """Nothing is answered to what was sent: the ping that follows it is answered first."""
    line.write(after)
    line.write(request(4, 1))
    assert listen(line, 6) == request(4, 0)


def test_a_ping_is_answered_with_id_and_errors(bus, line):
    bus.servos[1].forced_errors = ErrorBits.OVERLOAD
    line.write(request(1, 1) + request(2, 1))
    assert listen(line, 12) == request(1, 0) + request(2, 32)


def test_reading_and_writing_go_to_the_servo_that_is_meant(line):
    line.write(request(3, 3, 42, 0x34, 0x07) + request(3, 2, 42, 2) + request(4, 2, 3, 2))
    assert listen(line, 6) == request(3, 0)
    assert listen(line, 8) == request(3, 0, 0x34, 0x07)
    assert listen(line, 8) == request(4, 0, 0x09, 0x03)


def test_a_sync_read_answers_in_the_order_of_its_list_and_leaves_out_who_is_not_there(bus, line):
    bus.servos[1].muted = True
    line.write(request(0xFE, 0x82, 5, 1, 6, 2, 9, 1))
    assert listen(line, 14) == request(6, 0, 6) + request(1, 0, 1)
    assert_silent(line, b"")


def test_a_sync_write_reaches_its_servos_and_is_not_answered(bus, line):
    assert_silent(line, request(0xFE, 0x83, 42, 2, 1, 0x10, 0x08, 9, 1, 1, 6, 0x20, 0x04))
    assert bus.servos[0].get(r.GOAL_POSITION) == 0x0810
    assert bus.servos[5].get(r.GOAL_POSITION) == 0x0420


def test_broadcasts_reach_everybody_and_only_a_ping_is_answered(bus, line):
    assert_silent(line, request(0xFE, 4, 42, 0x10, 0x08))
    assert all(servo.get(r.GOAL_POSITION) != 0x0810 for servo in bus.servos)
    assert_silent(line, request(0xFE, 5))
    assert all(servo.get(r.GOAL_POSITION) == 0x0810 for servo in bus.servos)
    line.write(request(0xFE, 1))
    assert listen(line, 36) == b"".join(request(number, 0) for number in range(1, 7))


@pytest.mark.parametrize(
    "nonsense",
    [
        request(1, 1)[:-1] + b"\x00",
        request(1, 9),
        request(1, 2, 56),
        request(1, 2, 0, 255),
        request(1, 3, 42),
        request(7, 1),
        request(0xFE, 0x82, 56),
        request(0xFE, 0x82, 0, 255, 1),
        request(0xFE, 0x83, 42),
        request(0xFE, 0x83, 42, 2, 1, 0x10),
        request(1, 0x82, 56, 2, 1),
        b"\xff\xff\x01\x01\x05",
        b"\xff\xff\xff\xff",
        b"\x00\xff\x00",
    ],
    ids=bytes.hex,
)
def test_what_is_no_instruction_is_not_answered(line, nonsense):
    assert_silent(line, nonsense)


def test_a_wrong_sum_is_counted(bus, line):
    assert_silent(line, request(1, 1)[:-1] + b"\x00")
    assert bus.rejected == 1


@given(garbage=st.binary(max_size=300), cut=st.integers(1, 7))
def test_the_line_recovers_from_any_bytes(port_of_module, garbage, cut):
    line, _ = port_of_module
    line.write(garbage)
    # What was begun is forgotten after a pause, and a packet may arrive in pieces.
    time.sleep(2 * servo_bus._STALE_SECONDS)
    line.reset_input_buffer()
    ping = request(2, 2, 5, 1)
    line.write(ping[:cut])
    line.flush()
    line.write(ping[cut:])
    assert listen(line, 7)[:4] == b"\xff\xff\x02\x03"


@pytest.fixture(scope="module")
def port_of_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bus")
    with ServoBus(KinematicPlant(), folder / "arm") as bus:
        # A lost ID or baud rate is no fault of the line: bytes that look like a write leave EPROM as it is.
        for servo in bus.servos:
            servo.write = lambda address, data: None
        with serial.Serial(str(bus.link), 1_000_000, timeout=PATIENCE) as line:
            yield line, bus


def test_a_new_client_is_not_bothered_by_what_the_last_one_left(bus):
    with serial.Serial(str(bus.link), 1_000_000, timeout=PATIENCE) as line:
        line.write(request(1, 2, 56, 15)[:5])
    with serial.Serial(str(bus.link), 1_000_000, timeout=PATIENCE) as line:
        time.sleep(0.05)
        assert_silent(line, b"")


def test_new_servos_all_have_the_id_1_and_only_the_connected_ones_answer(bus, line):
    bus.put_in_new_servos()
    bus.connect_servos([2])
    line.write(request(0xFE, 1))
    line.write(request(1, 2, 31, 2))
    assert listen(line, 14) == request(1, 0) + request(1, 0, 0, 0)
    line.write(request(1, 3, 48, 100, 0))
    assert listen(line, 6) == request(1, 0)
    bus.connect_servos([])
    bus.connect_servos([2])
    line.write(request(1, 2, 48, 2))
    assert listen(line, 8) == request(1, 0, 0xE8, 0x03), "it had no power in between"


def test_factory_reset_restart_and_offset_calibration_are_answered(bus, line):
    line.write(request(3, 3, 55, 0) + request(3, 3, 9, 44, 1) + request(3, 3, 40, 1))
    assert listen(line, 18) == 3 * request(3, 0)
    line.write(request(3, 0x08) + request(3, 2, 9, 2) + request(3, 2, 40, 1))
    assert listen(line, 21) == request(3, 0) + request(3, 0, 44, 1) + request(3, 0, 0)
    line.write(request(3, 0x0B, 0xF4, 0x01) + request(3, 2, 56, 2))
    assert listen(line, 14) == request(3, 0) + request(3, 0, 0xF4, 0x01)
    line.write(request(3, 0x0B) + request(3, 2, 56, 2))
    assert listen(line, 14) == request(3, 0) + request(3, 0, 0x00, 0x08)
    line.write(request(3, 0x06) + request(3, 2, 9, 4) + request(3, 2, 31, 2))
    assert listen(line, 24) == request(3, 0) + request(3, 0, 0, 0, 0xFF, 0x0F) + request(3, 0, 0, 0)


def test_an_arm_whose_servos_are_askew_has_offsets_and_the_same_angles(bus, plant):
    calibration = twin_calibration((900, -700, 1500, -1900, 350, 60))
    bus.assemble(calibration)
    robot_bus = motors_bus(bus.link)
    robot_bus.connect()
    plant.position = np.array([0.3, -0.4, 0.5, -0.6, 0.7, 0.8])
    bus.update(0.002)
    positions = robot_bus.sync_read("Present_Position", normalize=False)
    assert robot_bus.read_calibration() == calibration
    assert counts_to_radians(list(positions.values()), calibration) == pytest.approx(plant.position, abs=0.002)
    for servo in bus.servos:
        servo.power_cycle()
    assert robot_bus.read_calibration() == calibration
    robot_bus.disconnect()


def test_a_changed_id_is_used_at_once(bus, line):
    line.write(request(6, 3, 5, 9) + request(9, 1))
    assert listen(line, 12)[6:] == request(9, 0)
    assert_silent(line, request(6, 1))


def test_scservo_sdk_talks_to_it(bus):
    handler, packets = scs.PortHandler(str(bus.link)), scs.PacketHandler(0)
    assert handler.openPort()
    assert handler.setBaudRate(1_000_000)
    handler.setPacketTimeout = lambda _length: handler.setPacketTimeoutMillis(1000 * PATIENCE)
    assert packets.ping(handler, 5) == (777, scs.COMM_SUCCESS, 0)
    assert packets.write2ByteTxRx(handler, 5, 42, 1500) == (scs.COMM_SUCCESS, 0)
    assert packets.read2ByteTxRx(handler, 5, 42) == (1500, scs.COMM_SUCCESS, 0)
    handler.closePort()


def test_lerobot_finds_every_servo_by_a_broadcast(bus):
    robot_bus = motors_bus(bus.link)
    robot_bus.connect()
    assert robot_bus.broadcast_ping() == dict.fromkeys(range(1, 7), 777)
    robot_bus.disconnect()


def test_a_lerobot_follower_connects_moves_and_lets_go(bus, plant, tmp_path):
    robot = follower(bus.link, tmp_path)
    with running(bus):
        robot.connect(calibrate=False)
        assert robot.is_calibrated
        wait_until(lambda: plant.torque_enabled.all())
        goal = {"shoulder_pan": 20.0, "shoulder_lift": -30.0, "elbow_flex": 40.0, "wrist_flex": -50.0,
                "wrist_roll": 60.0, "gripper": 50.0}  # fmt: skip
        wait_until_there(robot, {f"{name}.pos": value for name, value in goal.items()})
        expected = np.radians([*list(goal.values())[:5], 45.0])
        assert np.abs(plant.position - expected).max() < 0.003
        robot.disconnect()
        wait_until(lambda: not plant.torque_enabled.any())


def test_lerobots_calibration_of_a_strangely_mounted_arm(bus, plant, tmp_path, monkeypatch):
    """The arm is moved by hand as lerobot-calibrate asks for it; afterwards its angles are the URDF's."""
    for servo, turn in zip(bus.servos, (900, -700, 1500, -1900, 350, 60), strict=True):
        servo.encoder_zero += turn
        servo.write(r.HOMING_OFFSET.address, r.encode(r.HOMING_OFFSET, 123))
    robot = follower(bus.link, tmp_path)
    robot.calibration = {}
    middle = np.array([(joint.lower + joint.upper) / 2 for joint in JOINTS])
    ends = [np.array([joint.lower for joint in JOINTS]), np.array([joint.upper for joint in JOINTS])]

    def put(angles: np.ndarray) -> None:
        plant.position = angles.copy()
        wait_until(
            lambda: all(abs(servo._angle - angle) < 1e-9 for servo, angle in zip(bus.servos, angles, strict=True))
        )

    def enter_pressed() -> bool:
        if ends:
            put(ends.pop())
            return False
        return True

    # Whoever calibrates puts wrist_roll's zero in the middle: its turn is not recorded.
    middle[4] = 0.0
    monkeypatch.setattr("builtins.input", lambda *_: put(middle) or "")
    monkeypatch.setattr("lerobot.motors.motors_bus.enter_pressed", enter_pressed)
    with running(bus):
        robot.bus.connect()
        robot.calibrate()
        lower, upper = position_range(robot.calibration)
        assert robot.is_calibrated
        put(np.zeros(6))
        robot.configure()
        wait_until_there(robot, {f"{name}.pos": 25.0 for name in NAMES})
        robot.disconnect()
    reached = [joint.upper - joint.lower for joint in JOINTS]
    assert np.abs((upper - lower) - reached)[[0, 1, 2, 3]].max() < 0.005
    assert np.abs(plant.position[:5] - np.radians(25.0)).max() < 0.005


def test_a_lost_answer_is_lost_once(bus):
    robot_bus = motors_bus(bus.link, patience_ms=200)
    robot_bus.connect()
    bus.faults.drop = 1
    with pytest.raises(ConnectionError, match="no status packet"):
        robot_bus.sync_read("Present_Position")
    robot_bus.port_handler.ser.reset_input_buffer()
    assert robot_bus.sync_read("Present_Position", num_retry=20)
    robot_bus.disconnect()


def test_a_spoilt_answer_has_a_wrong_sum(bus, line):
    bus.faults.corrupt = 1
    line.write(request(1, 2, 5, 1))
    answer = listen(line, 7)
    assert answer != request(1, 0, 1)
    assert answer[:-1] == request(1, 0, 1)[:-1]
    line.write(request(1, 2, 5, 1))
    assert listen(line, 7) == request(1, 0, 1)


def test_a_late_answer_comes_after_later_ones(bus, line):
    bus.faults.late = 1
    bus.faults.lateness = 0.3
    line.write(request(1, 2, 5, 1))
    line.write(request(2, 2, 5, 1))
    assert listen(line, 14) == request(2, 0, 2) + request(1, 0, 1)


def test_error_bits_reach_lerobot(bus):
    robot_bus = motors_bus(bus.link)
    robot_bus.connect()
    bus.servos[5].forced_errors = ErrorBits.OVERLOAD
    with pytest.raises(RuntimeError, match="Overload"):
        robot_bus.read("Present_Position", "gripper")
    bus.servos[5].forced_errors = 0
    robot_bus.disconnect()


def test_an_unplugged_arm_keeps_its_torque_and_comes_back_at_the_same_link(bus, plant):
    robot_bus = motors_bus(bus.link)
    robot_bus.connect()
    robot_bus.enable_torque()
    bus.unplug()
    assert not os.path.lexists(bus.link)
    with pytest.raises(Exception, match=r"(?i)device|error|port"):
        robot_bus.sync_read("Present_Position")
    bus.update(0.002)
    assert plant.torque_enabled.all()
    bus.plug_in()
    again = motors_bus(bus.link)
    again.connect()
    assert again.sync_read("Torque_Enable") == dict.fromkeys(NAMES, 1)
    again.disconnect()


def test_the_supply_drops_under_load(bus, plant):
    plant.torque = np.full(6, 2.94)
    bus.update(0.002)
    drop = 12.0 - bus.servos[0].supply_voltage
    assert drop == pytest.approx(6 * 2.7 * 0.15)


def test_servos_make_a_placed_joint_their_goal(bus, plant, line):
    line.write(request(0xFE, 0x83, 40, 1, *(byte for number in range(1, 7) for byte in (number, 1))))
    line.write(request(0xFE, 3, 42, 0x00, 0x0A))
    assert_silent(line, b"")
    plant.position = np.full(6, 0.3)
    bus.place()
    bus.update(0.002)
    assert plant.goal == pytest.approx(np.full(6, 0.3))


def test_a_link_replaces_an_older_link_and_goes_with_the_port(plant, tmp_path):
    link = tmp_path / "arm"
    link.symlink_to("/nowhere")
    with ServoBus(plant, link) as bus:
        assert os.readlink(link) == bus.port
        assert os.listdir(tmp_path) == ["arm"]
    assert not os.path.lexists(link)


def test_a_link_that_somebody_else_took_over_is_left_alone(plant, tmp_path):
    link = tmp_path / "arm"
    first = ServoBus(plant, link)
    second = ServoBus(KinematicPlant(), link)
    first.close()
    assert os.readlink(link) == second.port
    second.close()


def test_a_link_never_replaces_a_file(plant, tmp_path):
    (tmp_path / "arm").write_text("mine")
    with pytest.raises(FileExistsError, match="not a symbolic link"):
        ServoBus(plant, tmp_path / "arm")
    assert (tmp_path / "arm").read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        ServoBus(plant, tmp_path / "none" / "arm")


def wait_until(condition, timeout: float = 30.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def wait_until_there(robot, goal: dict[str, float]) -> None:
    """Send a goal (LeRobot's units) until the arm has reached it within a count or two."""

    def there() -> bool:
        robot.send_action(goal)
        return all(abs(value - goal[name]) < 0.25 for name, value in robot.get_observation().items())

    wait_until(there)
