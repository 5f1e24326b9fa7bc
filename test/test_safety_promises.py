"""docs/safety.md is true word for word: every sentence of it has the test that would fail if it were not."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "safety.md"

EXPLANATIONS = (
    "The driver (`prana_ros/so101/`",
    "Every sentence below is a promise",
    "A servo clips every goal",
    "A joint that stands outside them",
    "So the driver refuses",
    "Hold, then slow return to rest",
    "How far down a stop goes",
    "The category is that of IEC 60204-1",
    "Category 0, power off at once",
)
"""Beginnings of the sentences that say why, and promise nothing."""

DRIVER, TORQUE, STOPS, LINE = (f"so101/test_driver{part}.py" for part in ("", "_torque", "_stops", "_line"))
SERVOS = "so101/test_servo_check.py"
NODE, NODE_TORQUE, BUS = "nodes/test_so101_driver.py", "nodes/test_so101_driver_torque.py", "so101/test_bus.py"

PROMISES = {
    # -- before torque
    "*configure* switches no torque": (DRIVER, "test_connecting_moves_nothing_and_leaves_the_torque_off"),
    "A calibration file whose ranges": ("so101/test_calibration.py", "test_ranges_that_no_so101_has_are_refused"),
    "An arm whose servos hold another calibration": (
        SERVOS,
        "test_an_arm_that_does_not_match_its_file_is_refused_with_both_values_and_nothing_is_written",
    ),
    "With `write_calibration`": (SERVOS, "test_a_calibration_is_written_on_request_and_survives_a_loss_of_power"),
    "A servo whose memory makes it": (
        SERVOS,
        "test_a_motor_that_counts_several_turns_is_refused_until_the_bit_may_be_cleared",
    ),
    "That bit is named only": (
        SERVOS,
        "test_the_way_to_one_turn_is_not_named_while_it_would_write_another_arms_file",
    ),
    "Where motors are silent": (SERVOS, "test_a_motor_that_was_never_set_shows_as_two_with_the_id_1"),
    "A rest pose more than 0.1 rad": (NODE_TORQUE, "test_an_arm_whose_range_does_not_reach_the_rest_pose_is_refused"),
    "At *activate*, and before": (TORQUE, "test_every_way_to_torque_checks_the_reading"),
    "A reading beyond 0 to 4095": (
        TORQUE,
        "test_a_servo_that_counts_several_turns_gets_no_torque_and_the_bit_is_named",
    ),
    "After a refusal no motor": (TORQUE, "test_a_joint_outside_its_calibrated_range_gets_no_torque_and_nothing_moves"),
    "*activate* writes the present position": (
        DRIVER,
        "test_activation_makes_the_present_position_the_goal_before_the_torque_comes",
    ),
    "The policy's inputs are judged": (
        "cli/test_deploy.py",
        "test_a_camera_that_is_much_too_slow_is_refused_before_the_arm_has_torque",
    ),
    "The graph activates the driver": (
        "graphs/test_deploy.py",
        "test_the_driver_switches_torque_on_only_once_the_policy_is_active",
    ),
    # -- torque
    "A servo that holds a goal already": (
        NODE,
        "test_after_sigkill_in_motion_the_arm_holds_and_the_next_start_takes_over_without_a_jump",
    ),
    "*deactivate* holds": (DRIVER, "test_deactivating_holds_and_refuses_trajectories"),
    "*cleanup* and *shutdown* go slowly": (DRIVER, "test_shutting_down_returns_to_rest_slowly_and_only_then_lets_go"),
    "An arm that does not reach the rest pose": (DRIVER, "test_an_arm_that_cannot_reach_rest_is_not_dropped"),
    "On request (`set_torque`)": (
        DRIVER,
        "test_torque_off_on_request_wherever_the_arm_is_and_on_again_without_a_jump",
    ),
    "Torque is a fact of each motor": (
        TORQUE,
        "test_a_motor_that_lost_its_power_is_found_within_a_second_and_stops_the_arm",
    ),
    "Until `set_torque` has switched": (
        TORQUE,
        "test_a_motor_that_lost_its_power_is_named_and_nothing_goes_on_until_it_has_torque",
    ),
    "A servo that lost its power is set up": (
        TORQUE,
        "test_a_motor_that_lost_its_power_is_set_up_again_before_it_gets_torque",
    ),
    "An arm with a limp motor": (TORQUE, "test_an_arm_with_a_limp_motor_is_not_moved_to_rest_and_not_dropped"),
    "Torque that another program": (TORQUE, "test_torque_that_another_program_switches_on_moves_nothing"),
    "After a stop during activation": (
        NODE_TORQUE,
        "test_a_stop_before_activation_leaves_the_arm_limp_and_clearing_it_names_the_way_on",
    ),
    # -- dry run
    "In a dry run no torque": (NODE_TORQUE, "test_a_dry_run_gives_no_torque_and_refuses_to_move_the_arm"),
    "Torque that is asked for": (TORQUE, "test_in_a_dry_run_torque_that_was_asked_for_holds_and_nothing_else"),
    "An arm that holds when a dry run begins": (TORQUE, "test_a_dry_run_leaves_an_arm_that_holds_as_it_is"),
    # -- commands
    "NaN, unknown joints": (NODE, "test_bad_trajectories_are_refused_and_counted_while_the_old_plan_goes_on"),
    "Positions are clamped": (DRIVER, "test_goals_beyond_the_limits_are_clamped_and_counted"),
    "Velocity and acceleration stay": ("so101/test_limits.py", "test_every_limit_holds_for_any_targets"),
    # -- the stop ladder
    "service: ": (STOPS, "test_the_stop_service_brakes_without_coming_back"),
    "lost commander: ": (NODE, "test_a_lost_commander_stops_the_arm"),
    "communication: ": (LINE, "test_unplugging_stops_and_plugging_in_again_takes_over_without_a_jump"),
    "torque lost: ": (TORQUE, "test_a_motor_that_lost_its_power_is_found_within_a_second_and_stops_the_arm"),
    "overload: ": (STOPS, "test_an_overloaded_arm_joint_stops_where_it_is_blocked"),
    "limit: ": (STOPS, "test_a_joint_forced_beyond_its_limit_stops_the_arm"),
    "over-temperature: ": (STOPS, "test_heat_walks_down_the_whole_ladder_and_is_not_dropped"),
    "low voltage: ": (STOPS, "test_a_failing_supply_walks_down_the_ladder"),
    "shutdown: ": (NODE, "test_a_signal_in_the_middle_of_a_motion_brings_the_arm_to_rest_and_lets_go_there"),
    "A stop stays until": (DRIVER, "test_a_lost_commander_stops_the_arm_until_the_stop_is_cleared"),
    "An overloaded *gripper*": (STOPS, "test_an_overloaded_gripper_recovers_without_a_stop_or_a_power_cycle"),
    "A way to rest that is interrupted": (STOPS, "test_a_way_to_rest_goes_on_after_it_was_interrupted"),
    # -- one commander
    "`acquire` gives the arm": (NODE, "test_one_commander_at_a_time"),
    "A leader that takes over": (DRIVER, "test_a_leader_that_takes_over_ends_the_plan_of_the_policy"),
    # -- the bus
    "The port is locked": (BUS, "test_a_second_driver_is_refused_and_the_first_goes_on"),
    "One late answer": (BUS, "test_a_late_answer_never_passes_for_a_later_one"),
    "Attempts are bounded": (BUS, "test_attempts_are_bounded_and_the_silent_motor_is_named"),
    "Torque off reaches": (LINE, "test_torque_off_reaches_every_other_motor_when_one_is_silent"),
}
"""The beginning of each promise, and file and name of its test."""


def sentences() -> list[str]:
    """The page's sentences and the rows of its tables, without headings."""
    found = []
    for block in re.split(r"\n(?=\n|- |\|)", PAGE.read_text(encoding="utf-8")):
        text = " ".join(block.split())
        if text.startswith("|"):
            cells = [cell.strip() for cell in text.strip("| ").split("|")]
            if cells[0] != "reason" and not set(text) <= set("|- "):
                found.append(f"{cells[0]}: {', '.join(cells[1:])}")
        elif text and not text.startswith("#"):
            found += re.split(r"(?<=\.)\s+(?=[A-Z*`])", text.removeprefix("- "))
    return found


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("sentence", sentences())
def test_every_sentence_is_an_explanation_or_has_one_test(sentence):
    beginnings = [beginning for beginning in (*PROMISES, *EXPLANATIONS) if sentence.startswith(beginning)]
    assert len(beginnings) == 1, beginnings


@pytest.mark.parametrize("beginning", [*PROMISES, *EXPLANATIONS])
def test_no_test_is_kept_for_a_sentence_that_is_gone(beginning):
    assert sum(sentence.startswith(beginning) for sentence in sentences()) == 1


@pytest.mark.parametrize(("file", "name"), PROMISES.values())
def test_the_test_of_each_promise_exists(file, name):
    assert name in names_in(file)
