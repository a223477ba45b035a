"""One run over all targets: so many tries of each that they add up, and the memory the simulator takes meanwhile."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import psutil

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import mail, open_ses
from tests.unit.simulator.fuzz.targets import ApiCalls, Finding, Http, Mime, Smtp, Target

_SHARES: dict[str, float] = {"API calls": 0.5, "MIME": 0.15, "HTTP": 0.32, "SMTP sessions": 0.03}
_FLAGS = {"rate": 1e9, "quota": -1, "control_rate": 0, "keep": 200, "keep_bytes": 4_000_000, "keep_rows": 5_000}


@dataclass
class Report:
    tried: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    """Of the simulator's process, from the start to the end."""
    own_megabytes: list[float] = field(default_factory=list)
    """Of this one, where the API calls and the MIME are tried."""


def run(count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    random, report = Random(seed), Report()
    with Simulator(smtp_insecure=True, seed=seed, **_FLAGS) as simulator:  # type: ignore[arg-type]
        process = psutil.Process(simulator.pid)
        targets: list[Target] = [ApiCalls(random), Mime(), Http(simulator), Smtp(simulator)]
        for target in targets:
            share = round(count * _SHARES[target.name])
            start = time.monotonic()
            for number in range(share):
                try:
                    target.attempt(random)
                except Finding as finding:
                    cause = "".join(traceback.format_exception(finding.__cause__)[-5:]) if finding.__cause__ else ""
                    report.findings.append(f"{target.name}: {str(finding)[:2000]}\n{cause}")
                    say(report.findings[-1])
                if number % max(1, share // 20) == 0:
                    report.megabytes.append(process.memory_info().rss / 1e6)
                    report.own_megabytes.append(psutil.Process().memory_info().rss / 1e6)
            report.tried[target.name] = share
            report.seconds[target.name] = time.monotonic() - start
            say(f"{target.name}: {share} tried in {report.seconds[target.name]:.1f} s")
        # After all that it still does what it is for.
        simulator.reset()
        open_ses(simulator.url).send_email(**mail())
        assert len(simulator.messages()) == 1
        report.megabytes.append(process.memory_info().rss / 1e6)
    return report
