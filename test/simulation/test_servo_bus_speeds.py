"""Servos at any baud rate, and programs that set it in any way."""

import pytest
import serial
from support.kinematic_plant import KinematicPlant
from support.lerobot_arms import motors_bus

from prana_ros.simulation import registers as r
from prana_ros.simulation.servo_bus import ServoBus

pytestmark = pytest.mark.usefixtures("measures_time")


@pytest.fixture
def bus(tmp_path):
    with ServoBus(KinematicPlant(), tmp_path / "arm") as bus:
        yield bus


def test_servos_listen_at_their_own_baud_rate(bus):
    ping_1, ping_2, answer_of_1 = map(bytes.fromhex, ("ffff010201fb", "ffff020201fa", "ffff010200fc"))
    with serial.Serial(str(bus.link), 500_000, timeout=0.3) as line:
        line.write(ping_1)
        assert line.read(6) == b""
        bus.servos[0].write(r.BAUD_RATE.address, b"\x01")
        line.timeout = 10.0
        line.write(ping_2 + ping_1)
        assert line.read(6) == answer_of_1


SPEAK_AT = """
import fcntl, os, struct, sys
port, speed = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY), int(sys.argv[2])
TCGETS2, TCSETS2, BOTHER, CBAUD = 0x802C542A, 0x402C542B, 0x1000, 0x100F
iflag, oflag, cflag, lflag, line, characters, _, _ = struct.unpack("<4IB19s2I", fcntl.ioctl(port, TCGETS2, bytes(44)))
cflag = cflag & ~CBAUD | BOTHER
fcntl.ioctl(port, TCSETS2, struct.pack("<4IB19s2I", iflag, oflag, cflag, lflag, line, characters, speed, speed))
os.write(port, bytes.fromhex("ffff040201f8"))
print("answer", os.read(port, 6).hex(), flush=True)
"""


@pytest.mark.parametrize("index", range(8))
def test_a_program_that_sets_its_speed_as_rust_does_is_answered(bus, processes, index):
    """By the ioctl TCSETS2 with BOTHER and a number, whether POSIX knows that speed or not."""
    bus.servos[3].write(r.BAUD_RATE.address, bytes((index,)))
    processes.python("-c", SPEAK_AT, str(bus.port), str(r.BAUD_RATES[index])).wait_for("answer ffff040200f9")


@pytest.mark.parametrize("baud_rate", [250_000, 128_000, 115_200, 57_600])
def test_lerobot_finds_and_sets_up_a_motor_at_any_of_its_speeds(bus, baud_rate):
    bus.put_in_new_servos()
    bus.connect_servos([6])
    bus.servos[5].write(r.LOCK.address, b"\0")
    bus.servos[5].write(r.BAUD_RATE.address, bytes((r.BAUD_RATES.index(baud_rate),)))
    robot_bus = motors_bus(bus.link)
    robot_bus.setup_motor("gripper")
    bus.servos[5].power_cycle()
    assert (bus.servos[5].id, bus.servos[5].baud_rate) == (6, 1_000_000)
    assert robot_bus.ping("gripper") == 777
    robot_bus.disconnect(disable_torque=False)
