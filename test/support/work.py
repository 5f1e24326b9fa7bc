"""Work for worker processes, where they can import it."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence

import torch


def squares(jobs: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    for job in jobs:
        yield job, job**2, torch.get_num_threads()


def own_process(jobs: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from ((job, os.getpid()) for job in jobs)


def wait_forever(jobs: Sequence[int]) -> Iterator[int]:
    yield os.getpid()
    while True:
        time.sleep(0.05)
        if 1 in jobs:
            yield 0


def refuse(jobs: Sequence[int]) -> Iterator[int]:
    yield jobs[0]
    if 1 in jobs:
        raise ValueError("job 1 is no job")
    yield from wait_forever(jobs)


def fail(jobs: Sequence[int]) -> Iterator[int]:
    yield from jobs
    raise OSError("no space left")


def die(jobs: Sequence[int]) -> Iterator[int]:
    yield jobs[0]
    if 1 in jobs:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from wait_forever(jobs)


def leave(jobs: Sequence[int]) -> Iterator[int]:
    yield jobs[0]
    if 1 in jobs:
        sys.exit()
    yield from wait_forever(jobs)
