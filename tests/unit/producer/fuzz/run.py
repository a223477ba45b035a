"""One run over all targets."""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import load
from mailer.testbed.valkey import Valkey
from tests.unit.producer.fuzz.inspection import Finding
from tests.unit.producer.fuzz.targets import Doors, Payloads, Sends, Target
from tests.unit.producer.fuzz.templates import Templates

_SHARES = {"payloads": 0.3, "doors": 0.1, "sends": 0.3, "templates": 0.3}


@dataclass
class Report:
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """Target -> what became of its tries."""
    findings: list[str] = field(default_factory=list)


def run(count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Each target its share of ``count`` tries, from one seed."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, Valkey(Path(folder)) as server:
        settings = load(redis_url=server.url, account="fuzz", rate_per_second=1, quota_per_day=-1)
        client = connect(settings)
        targets: tuple[Target, ...] = (
            Payloads(),
            Doors(settings),
            Sends(Queue(client, Keys.of(settings))),
            Templates(),
        )
        try:
            for target in targets:
                report.outcomes[target.name] = _tried(
                    target, Random(seed), round(count * _SHARES[target.name]), report, say
                )
        finally:
            client.close()
    return report


def _tried(target: Target, random: Random, count: int, report: Report, say: Callable[[str], None]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        try:
            outcomes[target.attempt(random)] += 1
        except Exception as found:  # noqa: BLE001 - whatever it is, it should not have come this far
            outcomes["finding"] += 1
            cause = "".join(traceback.format_exception(found.__cause__ or found)[-6:])
            words = str(found) if isinstance(found, Finding) else type(found).__name__
            report.findings.append(f"{target.name}: {words[:1500]}\n{cause}")
            say(report.findings[-1])
    return outcomes
