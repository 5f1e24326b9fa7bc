"""One commander at a time, checked against a model of who owns the arm."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prana_ros.so101.ownership import Ownership, OwnershipError

NAMES = st.sampled_from(["policy", "replay", "leader"])


class OwnershipMachine(RuleBasedStateMachine):
    """The same calls on the class and on a plain model."""

    def __init__(self):
        super().__init__()
        self.ownership = Ownership()
        self.owner = ""
        self.timeout = 0.0
        self.now = self.heard = 100.0

    @rule(name=NAMES, timeout=st.sampled_from([0.0, 0.5, 2.0]))
    def acquire(self, name, timeout):
        if self.owner in ("", name) or name == "leader":
            self.ownership.acquire(name, timeout, self.now)
            self.owner, self.timeout, self.heard = name, timeout, self.now
        else:
            with pytest.raises(OwnershipError, match=f"belongs to '{self.owner}'"):
                self.ownership.acquire(name, timeout, self.now)

    @rule(name=NAMES)
    def release(self, name):
        if name == self.owner:
            self.ownership.release(name)
            self.owner = ""
        else:
            with pytest.raises(OwnershipError):
                self.ownership.release(name)

    @rule(name=st.one_of(NAMES, st.just("")))
    def command(self, name):
        if self.owner in ("", name):
            self.ownership.check(name)
            self.ownership.heard(self.now)
            self.heard = self.now
        else:
            with pytest.raises(OwnershipError, match=f"belongs to '{self.owner}'"):
                self.ownership.check(name)

    @rule(seconds=st.sampled_from([0.1, 0.6, 3.0]))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.owner)
    @rule()
    def revoke(self):
        self.ownership.revoke()
        self.owner = ""

    @invariant()
    def agrees(self):
        assert self.ownership.owner == self.owner
        silent = self.now - self.heard
        assert self.ownership.is_lost(self.now) == (bool(self.owner) and self.timeout > 0 and silent > self.timeout)


TestOwnership = OwnershipMachine.TestCase
TestOwnership.settings = settings(max_examples=40, stateful_step_count=30)


@pytest.mark.parametrize("name", ["", "  "])
def test_an_owner_has_a_name(name):
    with pytest.raises(OwnershipError, match="name is empty"):
        Ownership().acquire(name, 0.0, 0.0)


@pytest.mark.parametrize("timeout", [-1.0, math.nan, math.inf])
def test_a_heartbeat_timeout_is_a_duration(timeout):
    with pytest.raises(OwnershipError, match="heartbeat_timeout is"):
        Ownership().acquire("policy", timeout, 0.0)
