"""Work shared out to processes: everything comes back, and whatever goes wrong is told and ends them all."""

import os
import signal
import subprocess
import sys
from multiprocessing import active_children
from pathlib import Path

import pytest
from support.ros import wait_until
from support.work import die, fail, leave, own_process, refuse, squares, wait_forever

from prana_ros.workers import WorkerError, share_out

pytestmark = pytest.mark.usefixtures("starts_processes")

ROOT = Path(__file__).parents[1]
PRELOAD = "prana_ros.workers"


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_every_job_is_done_once_and_by_one_thread():
    results = sorted(share_out(squares, range(7), 3, preload=PRELOAD))
    assert results == [(job, job**2, 1) for job in range(7)]


def test_each_process_does_every_nth_job_and_there_are_no_more_than_jobs():
    by_process: dict[int, list[int]] = {}
    for job, pid in share_out(own_process, range(5), 2, preload=PRELOAD):
        by_process.setdefault(pid, []).append(job)
    assert sorted(by_process.values()) == [[0, 2, 4], [1, 3]]
    assert os.getpid() not in by_process
    assert len({pid for _, pid in share_out(own_process, range(2), 8, preload=PRELOAD)}) == 2


@pytest.mark.parametrize(
    ("work", "kind", "sentence"),
    [
        (refuse, ValueError, "^job 1 is no job$"),
        (fail, WorkerError, r"^a worker process failed: OSError\('no space left'\)$"),
        (die, WorkerError, "^a worker process ended with exit code -9$"),
        (leave, WorkerError, "^a worker process ended with exit code 0$"),
    ],
)
def test_what_goes_wrong_in_one_is_told_and_ends_the_others(work, kind, sentence):
    results = share_out(work, range(2), 2, preload=PRELOAD)
    with pytest.raises(kind, match=sentence):
        list(results)
    assert not active_children()


def test_who_listens_no_more_ends_them():
    results = share_out(wait_forever, range(2), 2, preload=PRELOAD)
    pids = {pid for pid in (next(results), next(results)) if pid}
    results.close()
    assert pids
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_parent(end, tmp_path):
    """Ctrl-C reaches all processes of the terminal; a parent that is killed says nothing."""
    script = tmp_path / "parent.py"
    script.write_text(
        "from prana_ros.workers import share_out\n"
        "from support.work import wait_forever\n"
        "if __name__ == '__main__':\n"
        f"    for pid in share_out(wait_forever, [1, 1], 2, preload={PRELOAD!r}):\n"
        "        pid and print(pid, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'test'}"}
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        (os.killpg if end is signal.SIGINT else os.kill)(parent.pid, end)
        wait_until(lambda: not any(is_running(pid) for pid in pids), 20.0, lambda: f"of {pids} some are left")
        _, said = parent.communicate(timeout=20)
    finally:
        if parent.poll() is None:
            os.killpg(parent.pid, signal.SIGKILL)
    assert ("KeyboardInterrupt" in said) == (end is signal.SIGINT)
