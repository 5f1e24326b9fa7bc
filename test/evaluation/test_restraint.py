"""What reaches the servos in lock-step is what the driver would send them."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prana_ros.evaluation.playback import TICK_NS, TICKS
from prana_ros.evaluation.restraint import Restraint
from prana_ros.evaluation.twin_episode import TwinEpisode
from prana_ros.simulation.expert import Expert
from prana_ros.simulation.scene import STANDARD, sample_scene
from prana_ros.simulation.world import World
from prana_ros.so101.calibration import twin_calibration
from prana_ros.so101.driver import ArmDriver
from prana_ros.so101.model import ACTUATOR, JOINT_NAMES, REST_POSE
from prana_ros.so101.servo_settings import GRIPPER_OVERLOAD
from prana_ros.so101.trajectory import NANOSECONDS, Trajectory
from prana_ros.so101.trajectory_sampler import TrajectorySampler


@settings(max_examples=25)
@given(st.lists(arrays(np.float64, (5, 6), elements=st.floats(-3, 3)), min_size=1, max_size=3))
def test_goals_are_the_drivers_own_however_a_plan_jumps(chunks):
    rest = np.array(REST_POSE)
    motion = ArmDriver(SimpleNamespace(calibration=twin_calibration()))._motion
    motion.start_from(rest)
    player, restraint = (
        TrajectorySampler(rest),
        Restraint(SimpleNamespace(goal=rest, position=rest, torque=np.zeros(6))),
    )
    for cycle in range(30 * len(chunks)):
        now_ns = NANOSECONDS + cycle * TICK_NS
        if cycle % 30 == 0:
            plan = Trajectory("test", now_ns, JOINT_NAMES, np.arange(5) / 10, chunks[cycle // 30])
            motion.accept(plan, now_ns)
            player.accept(plan, now_ns)
        np.testing.assert_allclose(restraint.goal(player.sample(now_ns)), motion.goals(now_ns, None), atol=1e-12)


def test_a_grip_that_is_too_hard_is_eased_and_still_holds():
    scene = sample_scene(STANDARD, 5)
    expert = Expert(scene)
    with World(scene) as world:
        trial = TwinEpisode(world, scene, 15.0)
        while expert.leg(trial.tick / TICKS).name != "lift":
            trial.step(expert.target(trial.tick / TICKS))
        grasped, loads = expert.target(trial.tick / TICKS), []
        for _ in range(2 * TICKS):
            trial.step(np.append(grasped[:5], np.radians(-10)))
            loads.append(abs(world.torque[5]) / ACTUATOR.torque_limit)
        assert max(loads[:TICKS]) > 1.5 * GRIPPER_OVERLOAD
        assert 0.1 < loads[-1] < GRIPPER_OVERLOAD
        assert world.tool_touches_arm()
