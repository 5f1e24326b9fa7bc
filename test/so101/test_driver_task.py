"""The whole chain below ROS: the scripted expert's chunks, driver, servo bus and physics put the tool in the box."""

import numpy as np
import pytest

from prana_ros.simulation import scene as scenes
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.servo_bus import ServoBus
from prana_ros.simulation.task import TaskMonitor
from prana_ros.simulation.world import World
from prana_ros.so101.bus import ArmBus
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver import ArmDriver
from prana_ros.so101.driver_state import DriverSettings
from prana_ros.so101.model import JOINT_NAMES
from prana_ros.so101.stop_ladder import StopReason
from prana_ros.so101.trajectory import Trajectory

FPS = 10
CHUNK = 16
CYCLE_NS = 10_000_000
START_NS = 10**18


@pytest.mark.parametrize("seed", [10_000, 10_001])
def test_the_expert_succeeds_through_limits_bus_and_servos(seed):
    scene = scenes.sample_scene(scenes.STANDARD, seed)
    world = World(scene)
    bus = ServoBus(world.arms[0])
    now_ns = START_NS
    driver = ArmDriver(
        # The arm stands still while an answer is on its way, so a busy machine may take its time.
        ArmBus(bus.port, twin_calibration(), lambda: now_ns, reply_timeout=0.5),
        DriverSettings(),
        now=lambda: (now_ns - START_NS) * 1e-9,
    )
    try:
        driver.connect()
        driver.activate()
        expert, monitor = Expert(scene), TaskMonitor(world)
        steps = np.arange(CHUNK) / FPS
        for cycle in range(1500):
            if cycle % (100 // FPS) == 0:
                time = (now_ns - START_NS) * 1e-9
                chunk = np.array([expert.target(time + step) for step in steps])
                driver.accept(Trajectory("", now_ns, JOINT_NAMES, steps, chunk), now_ns)
            now_ns += CYCLE_NS
            for _ in range(round(CYCLE_NS * 1e-9 / world.timestep)):
                bus.update(world.timestep)
                world.step()
            driver.cycle(now_ns)
            if monitor.update():
                break
        state = driver.state(now_ns)
        assert monitor.outcome() == "success"
        assert state.stop_reason is StopReason.NONE
        assert state.counters.commands_lost == state.counters.refused == 0
        assert not state.reading.error_bits.any()
    finally:
        driver.close()
        bus.close()
        world.close()
