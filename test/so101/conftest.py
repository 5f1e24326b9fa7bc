"""The driver on the virtual servo bus, in steps that the test makes."""

import pytest
from support.arm import Rig


@pytest.fixture
def make_rig(tmp_path):
    rigs = []

    def make(*args, **kwargs):
        rigs.append(Rig(*args, link=tmp_path / "arm", **kwargs))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()
