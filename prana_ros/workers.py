"""Worker processes: each does its share, and what it yields is handed on as it comes."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any

import torch

_POLL = 0.5


class WorkerError(RuntimeError):
    """A worker process broke off; the message is one sentence."""


@dataclass(frozen=True)
class _Failure:
    """Why a worker gave up. Not every exception can be sent to another process."""

    is_value_error: bool
    message: str


class _Done:
    """A worker has yielded everything."""


def share_out[Job, Result](
    work: Callable[[Sequence[Job]], Iterator[Result]], jobs: Sequence[Job], processes: int, *, preload: str
) -> Iterator[Result]:
    """What ``work`` yields for all jobs, in the order in which it comes. Process p of n does jobs p, p + n, p + 2n, …

    Each process has one thread. All of them end when this one ends; where it was killed, after what they yield next.

    Args:
        work: called in each process with its jobs; picklable.
        preload: module to import once, before the processes fork off.

    Raises:
        ValueError: what ``work`` raises of this kind.
        WorkerError: if a process failed otherwise.
    """
    processes = min(processes, len(jobs))
    context = get_context("forkserver")  # what the work needs takes seconds to import: once is enough
    context.set_forkserver_preload([preload])
    results: Queue[Any] = context.Queue()
    workers = [
        context.Process(target=_work, args=(work, jobs[index::processes], results)) for index in range(processes)
    ]
    try:
        for worker in workers:
            worker.start()
        yield from _results(results, workers)
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()


def _results(results: "Queue[Any]", workers: Sequence[BaseProcess]) -> Iterator[Any]:
    done = 0
    while done < len(workers):
        ended = [worker.exitcode for worker in workers if worker.exitcode is not None]
        try:
            result = results.get(timeout=_POLL)
        except Empty:
            # What a process sends is here before it ends: nothing more comes of those that ended by then.
            if len(ended) > done:
                raise WorkerError(f"a worker process ended with exit code {next(filter(None, ended), 0)}") from None
            continue
        if isinstance(result, _Failure):
            raise (ValueError if result.is_value_error else WorkerError)(result.message)
        if isinstance(result, _Done):
            done += 1
        else:
            yield result


def _work(work: Callable[[Any], Iterator[Any]], jobs: Sequence[Any], results: "Queue[Any]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends this one
    torch.set_num_threads(1)
    parent = parent_process()
    try:
        with closing(work(jobs)) as items:  # type: ignore[type-var]
            for item in items:
                results.put(item)
                if parent is None or not parent.is_alive():
                    return
        results.put(_Done())
    except Exception as error:
        is_value_error = isinstance(error, ValueError)
        message = str(error) if is_value_error else f"a worker process failed: {error!r}"
        results.put(_Failure(is_value_error, message))
