"""``python -m tests.unit.producer.fuzz --count 100000 --seed 1``."""

from __future__ import annotations

import argparse
import sys

from tests.unit.producer.fuzz.run import run


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = run(given.count, given.seed, say=print)
    for name, outcomes in report.outcomes.items():
        print(f"{name}: {dict(outcomes)}")  # noqa: T201
    print(f"{sum(map(lambda each: each.total(), report.outcomes.values()))} tried, {len(report.findings)} findings")  # noqa: T201, C417
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
