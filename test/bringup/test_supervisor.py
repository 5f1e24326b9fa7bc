"""The supervisor with real processes: camera nodes, which need nothing but an image."""

import os
import signal
import time

import cv2
import numpy as np
import pytest
from lifecycle_msgs.srv import ChangeState
from rclpy.task import Future
from support.ros import wait_until

from prana_ros.bringup.supervisor import GraphFailed, StopRequested, Supervisor
from prana_ros.graphs.spec import PACKAGE, Graph, NodeSpec


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8))
    return str(path)


@pytest.fixture
def supervise(ros, tmp_path):
    """Make supervisors whose processes are taken down after the test."""
    supervisors = []

    def make(*nodes, namespace="/arm", stop_requested=lambda: False):
        lines = []
        supervisor = Supervisor(
            Graph(namespace, nodes),
            ros.node,
            tmp_path / f"run_{len(supervisors)}",
            lambda name, severity, text: lines.append((name, severity, text)),
            stop_requested,
        )
        supervisor.lines = lines
        supervisors.append(supervisor)
        return supervisor

    yield make
    for supervisor in supervisors:
        supervisor.take_down(lambda step: None)


def camera(name, path, **more):
    return NodeSpec(name, PACKAGE, "camera", {"path": path}, **more)


def test_nodes_come_up_active_in_order_and_go_down_in_the_opposite_order(supervise, ros, image):
    supervisor = supervise(camera("table", image), camera("wrist", image))
    steps = []
    supervisor.bring_up(steps.append)
    assert steps == [
        "starting table, wrist",
        "configuring table",
        "activating table",
        "configuring wrist",
        "activating wrist",
    ]
    assert ros.state("/arm/table") == ros.state("/arm/wrist") == "active"
    assert supervisor.check() is False
    down = []
    assert supervisor.take_down(down.append) == []
    assert down == ["stopping wrist", "stopping table"]


def test_a_node_that_refuses_is_named_with_its_own_sentence(supervise, image):
    supervisor = supervise(camera("table", image), camera("wrist", "no_such_image.png"))
    with pytest.raises(GraphFailed) as failure:
        supervisor.bring_up(lambda step: None)
    assert str(failure.value).startswith("wrist: cannot configure: ")
    assert "no_such_image.png" in str(failure.value)


def test_a_process_that_is_killed_is_named_with_its_signal(supervise, image):
    supervisor = supervise(camera("table", image), camera("wrist", image))
    supervisor.bring_up(lambda step: None)
    pid = supervisor.process_ids["wrist"]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(GraphFailed, match=rf"^wrist \(process {pid}\) was killed by SIGKILL \(9\)\.$"):
        wait_until(supervisor.check, 10.0, lambda: "the death was not noticed")
    assert supervisor.take_down(lambda step: None) == []


def test_a_process_that_dies_while_the_graph_comes_up_is_named(supervise, image):
    dying = NodeSpec("table", PACKAGE, "no_such_node")
    with pytest.raises(GraphFailed, match=r"^table \(process \d+\) exited with code 1"):
        supervise(dying, camera("wrist", image)).bring_up(lambda step: None)


def test_a_second_graph_of_the_same_names_is_refused(supervise, image):
    supervise(camera("table", image)).bring_up(lambda step: None)
    with pytest.raises(GraphFailed, match=r"^/arm/table already runs in this ROS domain"):
        supervise(camera("table", image)).bring_up(lambda step: None)
    supervise(camera("table", image), namespace="/other").bring_up(lambda step: None)


def test_the_user_may_stop_while_the_graph_comes_up(supervise, image):
    end = time.monotonic() + 2.0
    supervisor = supervise(camera("table", image), stop_requested=lambda: time.monotonic() > end)
    with pytest.raises(StopRequested):
        supervisor.bring_up(lambda step: supervisor.pause(0.0 if "starting" in step else 60.0))
    assert supervisor.take_down(lambda step: None) == []


@pytest.fixture(params=["answer", "request"])
def lost(request, ros, monkeypatch):
    """Lose the first request to change the state, or its answer; return the services to which that happened."""
    monkeypatch.setattr("prana_ros.nodes.lifecycle_client.ANSWER_TIME", 1.0)
    create_client, losses = ros.node.create_client, []

    def create_lossy_client(kind, name):
        client = create_client(kind, name)
        send = client.call_async

        def call_async(message):
            if kind is not ChangeState or name in losses:
                return send(message)
            losses.append(name)
            if request.param == "answer":
                send(message)
            return Future()

        client.call_async = call_async
        return client

    monkeypatch.setattr(ros.node, "create_client", create_lossy_client)
    return losses


def test_a_lost_answer_or_request_does_not_keep_the_graph_from_coming_up(supervise, ros, image, lost):
    supervise(camera("table", image)).bring_up(lambda step: None)
    assert lost == ["/arm/table/change_state"]
    assert ros.state("/arm/table") == "active"


def test_a_refusal_whose_answer_is_lost_is_heard_all_the_same(supervise, lost):
    with pytest.raises(GraphFailed, match=r"^table: cannot configure: .*no_such_image.png"):
        supervise(camera("table", "no_such_image.png")).bring_up(lambda step: None)
    assert lost == ["/arm/table/change_state"]
