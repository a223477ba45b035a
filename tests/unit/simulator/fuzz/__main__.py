"""``python -m tests.unit.simulator.fuzz --count 100000 --seed 1``."""

from __future__ import annotations

import argparse
import sys

from tests.unit.simulator.fuzz.run import run


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = run(given.count, given.seed, say=print)
    tried = sum(report.tried.values())
    memory = f"{min(report.megabytes):.0f} to {max(report.megabytes):.0f} MB"
    own = f"{min(report.own_megabytes):.0f} to {max(report.own_megabytes):.0f} MB"
    print(f"{tried} tried, {len(report.findings)} findings; the simulator took {memory}, this process {own}")  # noqa: T201
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
