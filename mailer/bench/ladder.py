"""Raise threads, then processes, until more of them bring no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mailer.bench.stage import Measured

GAIN = 1.10
"""A step is worth it if it brings a tenth more."""
_STEP = 4
_FIRST_GUESS = 200.0

Measure = Callable[[int, int, float], Measured]
"""Arguments: processes, threads, and the mails per second that may be reached."""


def climb(measure: Measure, most_threads: int, most_processes: int) -> Iterator[Measured]:
    """Measure 1, 4, 16 ... threads in one process, then 2, 4 ... processes with the number of threads that was worth
    it.
    """
    stages: list[Measured] = []
    threads = 1
    while True:
        stages.append(measure(1, threads, expected(stages, _STEP)))
        yield stages[-1]
        if threads >= most_threads or _is_flat(stages):
            break
        threads = min(_STEP * threads, most_threads)
    threads = knee(stages).threads
    processes = 2
    at_one = [stage for stage in stages if stage.threads == threads]
    while processes <= most_processes:
        at_one.append(measure(processes, threads, expected(at_one, 2)))
        yield at_one[-1]
        if _is_flat(at_one):
            break
        processes = min(2 * processes, most_processes) if processes < most_processes else processes + 1


def knee(stages: list[Measured]) -> Measured:
    """The smallest stage that reaches the best one's rate, less a tenth."""
    best = max(stage.per_second for stage in stages)
    return next(stage for stage in stages if stage.per_second * GAIN >= best)


def expected(stages: list[Measured], factor: int) -> float:
    """The mails per second that the next stage may reach, with a margin."""
    return 1.5 * factor * stages[-1].per_second if stages else _FIRST_GUESS


def _is_flat(stages: list[Measured]) -> bool:
    return len(stages) > 1 and stages[-1].per_second < GAIN * stages[-2].per_second
