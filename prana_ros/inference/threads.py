"""How many processor cores a prediction may use."""

import os

import torch


def use_threads(count: int) -> int:
    """Set the threads of torch's CPU operators and return their number; 0 is all cores but one.

    One core is left to the driver and the cameras: a prediction that takes them all delays the servo loop.
    """
    threads = count or max(len(os.sched_getaffinity(0)) - 1, 1)
    torch.set_num_threads(threads)
    return threads
