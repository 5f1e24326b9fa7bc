import signal
from pathlib import Path

import pytest
from std_msgs.msg import String
from std_srvs.srv import Trigger
from support.ros import wait_until

EXAMPLE = Path(__file__).with_name("example_node.py")


@pytest.fixture
def example(processes):
    def start(**parameters):
        arguments = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
        return processes.python(EXAMPLE, "--ros-args", *arguments)

    return start


def hooks(process):
    return [line.removeprefix("hook ") for line in process.output.splitlines() if line.startswith("hook ")]


def test_a_node_walks_through_its_states_and_publishes_only_when_active(example, ros):
    process = example()
    words = ros.collect("example/words", String, 10)
    assert ros.change_state("example", "configure")
    assert ros.state("example") == "inactive"
    assert ros.change_state("example", "activate")
    words.wait(3)
    assert ros.change_state("example", "deactivate")
    assert ros.change_state("example", "cleanup")
    assert ros.state("example") == "unconfigured"
    assert hooks(process) == ["configure", "activate", "deactivate", "cleanup"]


def offers(ros):
    """Whether the example publishes its words and serves its action, as the ROS graph knows it at this moment."""
    topics = {name for name, _ in ros.node.get_topic_names_and_types() if ros.node.count_publishers(name)}
    services = {name for name, _ in ros.node.get_service_names_and_types()}
    return "/example/words" in topics, "/example/run/_action/send_goal" in services, "/example/finish" in services


def test_cleanup_removes_what_configure_created_and_the_node_can_start_again(example, ros):
    example()
    for _ in range(2):
        assert ros.change_state("example", "configure")
        wait_until(lambda: offers(ros) == (True, True, True), 10.0, lambda: f"{offers(ros)}")
        assert ros.change_state("example", "cleanup")
        wait_until(lambda: offers(ros) == (False, False, False), 10.0, lambda: f"{offers(ros)}")
    words = ros.collect("example/words", String, 10)
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    words.wait(2)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"rate": "0.5"}, "parameter 'rate' is 0.5, but must be at least 1"),
        ({"rate": "abc"}, "parameter 'rate' is 'abc' (string), but must be of type float"),
        ({"gain": "2.5"}, "parameter 'gain' is 2.5, but must be from 0 to 2"),
        ({"mode": "medium"}, "parameter 'mode' is 'medium', but must be one of 'fast', 'slow'"),
        ({"limits": "[0.5, 4.0]"}, "parameter 'limits' is [0.5, 4.0], but must be from 0 to 3"),
        ({"rat": "1.0"}, "parameter 'rat' is unknown; this node has 'cleanup_time', 'fail_in', 'gain', 'limits'"),
        ({"rate": "0.5", "mode": "x"}, "parameter 'rate' is 0.5, but must be at least 1; parameter 'mode' is 'x'"),
    ],
)
def test_an_invalid_parameter_is_refused_at_configure(example, ros, parameters, sentence):
    process = example(**parameters)
    assert not ros.change_state("example", "configure")
    assert ros.state("example") == "unconfigured"
    assert f"cannot configure: {sentence}" in process.wait_for("cannot configure.*").group()
    assert hooks(process) == []


def test_an_integer_is_accepted_where_a_float_is_declared(example, ros):
    example(rate=20, limits="[1, 2]")
    assert ros.change_state("example", "configure")


def test_a_failed_configure_releases_what_it_made_and_says_one_sentence(example, ros):
    process = example(fail_in="configure:OSError")
    assert not ros.change_state("example", "configure")
    assert ros.state("example") == "unconfigured"
    process.wait_for(r"cannot configure: the port is not there$")
    assert "Traceback" not in process.output
    assert hooks(process) == ["configure", "cleanup"]
    wait_until(lambda: offers(ros) == (False, False, False), 10.0, lambda: f"{offers(ros)}")


def test_a_defect_is_told_with_its_traceback(example, ros):
    process = example(fail_in="activate:KeyError")
    assert ros.change_state("example", "configure")
    assert not ros.change_state("example", "activate")
    assert ros.state("example") == "inactive"
    process.wait_for("cannot activate: KeyError")
    assert "Traceback" in process.output


def test_a_failed_deactivate_ends_unconfigured_with_everything_released(example, ros):
    process = example(fail_in="deactivate:OSError")
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    assert not ros.change_state("example", "deactivate")
    assert ros.state("example") == "unconfigured"
    assert hooks(process)[-1] == "cleanup"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_walks_an_active_node_down_in_order(example, ros, number):
    process = example(cleanup_time=1.0)
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    process.send(number)
    process.wait_for(f"shutting down on {number.name}")
    process.send(number)  # impatience changes nothing
    process.must_end(0)
    assert hooks(process) == ["configure", "activate", "deactivate", "cleanup"]


def test_a_signal_before_configure_ends_the_process(example, ros):
    process = example()
    assert ros.state("example") == "unconfigured"
    process.send(signal.SIGINT)
    process.must_end(0)
    assert hooks(process) == []


def test_a_cleanup_that_a_node_refuses_leaves_it_inactive_with_everything_in_place(example, ros):
    process = example(fail_in="check_cleanup:OSError")
    assert ros.change_state("example", "configure")
    assert not ros.change_state("example", "cleanup")
    assert ros.state("example") == "inactive"
    process.wait_for(r"cannot clean up: the port is not there$")
    assert hooks(process)[-1] == "check_cleanup"
    assert ros.change_state("example", "activate")
    process.send(signal.SIGINT)
    process.must_end(0)
    assert hooks(process)[-1] == "cleanup"


def test_the_shutdown_transition_ends_the_process_and_is_answered(example, ros):
    process = example()
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    assert ros.change_state("example", "shutdown")
    process.must_end(0)
    assert hooks(process)[-2:] == ["deactivate", "cleanup"]


def test_a_defect_in_a_callback_ends_the_process_in_order(example, ros):
    process = example()
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    client = ros.node.create_client(Trigger, "example/crash")
    assert client.wait_for_service(20.0)
    client.call_async(Trigger.Request())
    process.must_end(1)
    assert "LookupError('a defect')" in process.output
    assert hooks(process)[-2:] == ["deactivate", "cleanup"]


def test_a_defect_after_a_stop_signal_is_said_and_does_not_undo_the_work(example, ros):
    process = example()
    assert ros.change_state("example", "configure")
    assert ros.change_state("example", "activate")
    client = ros.node.create_client(Trigger, "example/crash_when_stopped")
    assert client.wait_for_service(20.0)
    client.call_async(Trigger.Request())
    process.must_end(0)
    assert "LookupError('a defect while the node stops')" in process.output
    assert hooks(process)[-2:] == ["deactivate", "cleanup"]


def test_a_node_that_has_finished_ends_with_its_exit_code(example, ros):
    process = example()
    assert ros.change_state("example", "configure")
    assert ros.call("example/finish", Trigger).success
    process.must_end(7)
    assert hooks(process)[-1] == "cleanup"
