import fcntl
import os
import re
import signal
from pathlib import Path

import pytest

from prana_ros.nodes import dds

PARTICIPANT = """
import time
from prana_ros.nodes import dds
dds.use_packaged_profile()
import rclpy
rclpy.init()
node = rclpy.create_node("participant")
print("ready", flush=True)
time.sleep(60)
"""
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def participant(processes):
    def start():
        process = processes.python("-c", PARTICIPANT)
        process.wait_for("ready")
        return process

    return start


def own_segment(process, before=()):
    """The segment of a process; those of the participants that were there before are mapped by it, too."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    segments = {SHARED_MEMORY / name for name in re.findall(r"/dev/shm/(fastdds_[0-9a-f]{16})$", maps, re.MULTILINE)}
    return max(segments - set(before), key=lambda path: path.stat().st_size)


def test_the_packaged_profile_gives_each_process_a_segment_that_holds_images(participant):
    assert own_segment(participant()).stat().st_size > 16 * 640 * 480 * 3


def test_segments_of_killed_processes_are_removed_and_those_of_living_ones_kept(participant):
    killed = participant()
    stale = own_segment(killed)
    used = own_segment(participant(), before=[stale])
    killed.send(signal.SIGKILL)
    killed.wait()
    assert stale.exists()
    assert stale in dds.remove_stale_segments()
    assert not stale.exists()
    assert used.exists()


def test_only_segments_are_removed(tmp_path):
    segment, port, foreign = "fastdds_0123456789abcdef", "fastdds_port7411", "other_0123456789abcdef"
    for name in (segment, port, foreign):
        (tmp_path / name).touch()
        (tmp_path / f"{name}_el").touch()
    assert dds.remove_stale_segments(tmp_path) == [tmp_path / segment]
    assert sorted(os.listdir(tmp_path)) == sorted([port, f"{port}_el", foreign, f"{foreign}_el"])


def test_a_locked_segment_is_kept(tmp_path):
    (tmp_path / "fastdds_0123456789abcdef").touch()
    with (tmp_path / "fastdds_0123456789abcdef_el").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert dds.remove_stale_segments(tmp_path) == []


def test_what_the_user_has_set_is_kept(monkeypatch):
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "mine.xml")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    dds.use_packaged_profile()
    assert os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] == "mine.xml"
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_without_a_choice_the_graph_stays_on_this_machine(monkeypatch):
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    dds.use_packaged_profile()
    assert Path(os.environ["FASTDDS_DEFAULT_PROFILES_FILE"]).name == "fastdds.xml"
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
