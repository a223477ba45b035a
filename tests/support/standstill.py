"""Runs a test that measures time once more, if it failed and this process stood still meanwhile.

A machine that stops for a second breaks no promise. Only tests with the mark ``timing`` are run again, each once. The
summary names each and counts them.
"""

from __future__ import annotations

import time

import pytest
from _pytest.runner import runtestprotocol

from mailer.testbed.waiting import Beside

_PAUSE_SECONDS = 0.02
STANDSTILL_SECONDS = 0.5

_again: list[str] = []


class Watch(Beside):
    """The longest time for which this process did not run while the block did."""

    seconds = 0.0

    def work(self) -> None:
        is_over = False
        while not is_over:
            began = time.monotonic()
            is_over = self.over.wait(_PAUSE_SECONDS)
            self.seconds = max(self.seconds, time.monotonic() - began - _PAUSE_SECONDS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if item.get_closest_marker("timing") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    with Watch() as watch:
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports) and watch.seconds >= STANDSTILL_SECONDS:
        _again.append(f"{item.nodeid}: run again, as this process stood still for {watch.seconds:.1f} s")
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _again:
        terminalreporter.write_line(line)
    if _again:
        terminalreporter.write_line(f"run again after a standstill: {len(_again)}")
