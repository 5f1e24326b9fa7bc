"""The commander's side of the driver, over real DDS."""

import threading

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from support.robot import DriverSide
from support.ros import wait_until

from prana_msgs.srv import Acquire, Release
from prana_ros.nodes import arm_client, calls
from prana_ros.nodes.arm_client import ArmClient, ArmError


class SlowDriver(DriverSide):
    """Answers a wish for the arm only when it may."""

    def __init__(self, ros) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        super().__init__(ros)

    def _acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        self.asked.set()
        assert self.may_answer.wait(60.0)
        return super()._acquire(request, response)


def test_an_arm_that_is_granted_after_the_wish_was_given_up_is_given_back(ros):
    driver = SlowDriver(ros)
    client = ArmClient(ros.node, "policy", 1.0, lambda sentence: None)
    try:
        with pytest.raises(ArmError, match="ended before the arm was acquired"):
            client.acquire(driver.asked.is_set)
    finally:
        driver.may_answer.set()
    wait_until(lambda: bool(driver.heartbeats), 20.0, lambda: "the arm was not granted")
    wait_until(lambda: driver.ownership.owner == "", 20.0, lambda: "the arm was not given back")


class OvertakenDriver(DriverSide):
    """Handles a request that was asked to wait only when it may, and other requests meanwhile."""

    def __init__(self, ros) -> None:
        self.waits: set[type] = set()
        self.may_go_on: Future = Future()
        self.handled: list[type] = []
        super().__init__(ros, ReentrantCallbackGroup())

    async def _acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        return await self._handle(super()._acquire, request, response)

    async def _release(self, request: Release.Request, response: Release.Response) -> Release.Response:
        return await self._handle(super()._release, request, response)

    async def _handle(self, handler, request, response):
        if type(request) in self.waits:
            await self.may_go_on
        response = handler(request, response)
        self.handled.append(type(request))
        return response


@pytest.fixture
def overtaken(ros, monkeypatch):
    monkeypatch.setattr(arm_client, "ORDER_TIME", 60.0)
    return OvertakenDriver(ros)


def in_the_background(function, *arguments) -> threading.Thread:
    """The function has had the time to send what it sends at once."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join(0.5)
    return thread


def test_an_arm_that_is_taken_again_at_once_is_not_lost_to_the_release_before(ros, overtaken):
    client = ArmClient(ros.node, "policy", 0.0, lambda sentence: None)
    client.acquire(lambda: False)
    overtaken.waits = {Release.Request}
    client.release()
    again = in_the_background(client.acquire, lambda: False)
    overtaken.may_go_on.set_result(None)
    again.join()
    assert overtaken.handled == [Acquire.Request, Release.Request, Acquire.Request]
    assert overtaken.ownership.owner == "policy"


def test_an_arm_that_is_given_back_is_not_taken_again_by_a_heartbeat(ros, overtaken):
    client = ArmClient(ros.node, "policy", 1e-9, lambda sentence: None)
    client.acquire(lambda: False)
    overtaken.waits = {Acquire.Request}
    wait_until(lambda: len(overtaken.handled) == 1, 20.0, lambda: f"handled {overtaken.handled}")
    client.heartbeat()
    release = in_the_background(client.release)
    overtaken.may_go_on.set_result(None)
    release.join()
    wait_until(lambda: len(overtaken.handled) == 3, 20.0, lambda: f"handled {overtaken.handled}")
    assert overtaken.handled == [Acquire.Request, Acquire.Request, Release.Request]
    assert overtaken.ownership.owner == ""


class DriverWithGates(DriverSide):
    """Handles each wish for the arm only when its gate is opened, and other requests meanwhile."""

    def __init__(self, ros) -> None:
        self.asked: list[Future] = []
        self.handled: list[type] = []
        super().__init__(ros, ReentrantCallbackGroup())

    async def _acquire(self, request: Acquire.Request, response: Acquire.Response) -> Acquire.Response:
        gate = Future()
        self.asked.append(gate)
        await gate
        self.handled.append(Acquire)
        return super()._acquire(request, response)

    def _release(self, request: Release.Request, response: Release.Response) -> Release.Response:
        self.handled.append(Release)
        return super()._release(request, response)


def test_an_arm_is_not_taken_again_by_a_wish_that_was_repeated_before_it_was_given_back(ros, monkeypatch):
    monkeypatch.setattr(arm_client, "ORDER_TIME", 60.0)
    monkeypatch.setattr(calls, "REPEAT_TIME", 0.3)
    driver = DriverWithGates(ros)
    client = ArmClient(ros.node, "policy", 0.0, lambda sentence: None)
    taking = in_the_background(client.acquire, lambda: False)
    wait_until(lambda: len(driver.asked) >= 2, 20.0, lambda: "the wish was not repeated")
    driver.asked[0].set_result(None)
    taking.join()
    giving = in_the_background(client.release)
    assert driver.handled == [Acquire]
    for gate in driver.asked[1:]:
        gate.set_result(None)
    giving.join()
    wait_until(lambda: driver.handled[-1] is Release, 20.0, lambda: f"handled {driver.handled}")
    assert driver.ownership.owner == ""


def test_an_arm_is_given_back_although_a_driver_does_not_answer(ros, monkeypatch):
    monkeypatch.setattr(arm_client, "ORDER_TIME", 0.1)
    driver = OvertakenDriver(ros)
    client = ArmClient(ros.node, "policy", 1e-9, lambda sentence: None)
    client.acquire(lambda: False)
    driver.waits = {Acquire.Request}
    client.heartbeat()
    client.release()
    wait_until(lambda: Release.Request in driver.handled, 20.0, lambda: f"handled {driver.handled}")


@pytest.mark.parametrize(
    ("happens", "sentence"),
    [
        (lambda driver: driver.switch_torque_off(), "The torque of the arm is off."),
        (lambda driver: driver.stop("Too hot."), "The driver stopped the arm: Too hot."),
        (lambda driver: driver.take_over("leader"), "The arm was taken over by 'leader'."),
    ],
)
def test_an_owner_hears_that_the_arm_is_no_longer_its_own(ros, happens, sentence):
    driver = DriverSide(ros)
    lost: list[str] = []
    client = ArmClient(ros.node, "policy", 0.0, lost.append)
    client.acquire(lambda: False)
    happens(driver)
    wait_until(lambda: bool(lost), 20.0, lambda: "nothing was heard")
    assert lost == [sentence]
