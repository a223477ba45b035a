"""``python -m ops.soak [FAULT...] [--long] [--seed N] [--pool custom|threads] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mailer.testbed.environment import clean
from mailer.testbed.process import unwind_on
from ops.soak.faults import FAULTS
from ops.soak.report import CODES, Report, fate_of, show
from ops.soak.trial import Fault, carry_out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.soak", description="Break things, and count what was lost.")
    parser.add_argument("fault", nargs="*", choices=[[], *FAULTS], help=f"all unless named: {', '.join(FAULTS)}")
    parser.add_argument("--long", action="store_true", help="as often and as much as was promised; about an hour")
    parser.add_argument("--seed", type=int, help="of an earlier run, to break the same things at the same moments")
    parser.add_argument("--pool", choices=("custom", "threads"), default="custom", help="the workers' pool")
    parser.add_argument("--json", type=Path, help="write the reports there too")
    given = parser.parse_args(arguments)

    # The trials must not use the settings of the person who runs them.
    for name in os.environ.keys() - clean().keys():
        del os.environ[name]
    unwind_on(signal.SIGTERM)

    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    console = Console()
    console.print(f"seed {seed}", highlight=False)
    columns = (TextColumn("{task.description:12}"), BarColumn(), TextColumn("{task.completed} of {task.total} sent"))
    reports: list[Report] = []
    with Progress(*columns, TextColumn("{task.fields[pulls]}"), TimeElapsedColumn(), console=console) as progress:
        for name in given.fault or FAULTS:
            fault = _with_pool(FAULTS[name], given.pool)
            report = carry_out(fault, fault.long if given.long else fault.short, seed, progress)
            reports.append(report)
            progress.console.print(f"{name}: {report.fate}, {report.seconds:.0f} s", highlight=False)
            if given.json:
                found = {"seed": seed, "long": given.long, "pool": given.pool, "fate": fate_of(reports)}
                text = json.dumps({**found, "reports": [r.to_json() for r in reports]}, indent=2, ensure_ascii=False)
                given.json.write_text(text + "\n", encoding="utf-8")
    show(console, reports)
    return CODES[fate_of(reports)]


def _with_pool(fault: Fault, pool: str) -> Fault:
    return replace(fault, set=replace(fault.set, pool=pool))


if __name__ == "__main__":
    sys.exit(main())
