"""The commander's side of the driver, over real DDS."""

import threading

import pytest
from rclpy.task import Future
from support.robot import DriverSide
from support.ros import wait_until

from prana_msgs.srv import Acquire, Release
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


class SlowToRelease(DriverSide):
    """Handles a release only when it may, and other requests meanwhile."""

    def __init__(self, ros) -> None:
        self.may_release: Future = Future()
        self.released = threading.Event()
        super().__init__(ros)

    async def _release(self, request: Release.Request, response: Release.Response) -> Release.Response:
        await self.may_release
        response = super()._release(request, response)
        self.released.set()
        return response


def test_an_arm_that_is_taken_again_at_once_is_not_lost_to_the_release_before(ros):
    driver = SlowToRelease(ros)
    client = ArmClient(ros.node, "policy", 0.0, lambda sentence: None)
    client.acquire(lambda: False)
    client.release()
    again = threading.Thread(target=client.acquire, args=(lambda: False,))
    again.start()
    again.join(0.5)
    driver.may_release.set_result(None)
    again.join()
    assert driver.released.wait(20.0)
    assert driver.ownership.owner == "policy"


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
