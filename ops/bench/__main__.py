"""``python -m ops.bench <figure>|all [--docs FOLDER] [--json FILE] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from mailer.testbed.environment import clean
from mailer.testbed.process import unwind_on
from mailer.testbed.workers import POOLS
from ops.bench.bench import bench, new_progress
from ops.bench.figure import Figure
from ops.bench.isolated import Missing
from ops.bench.report import Report

FIGURES = (
    *("compare", "budget", "tls", "enqueue", "latency", "footprint", "noop"),
    *("roundtrips", "memory", "urgent", "rate", "competitor"),
    *("scale-processes", "scale-rates", "scale-queued", "scale-bodies", "scale-accounts"),
)
GROUPS = {"all": FIGURES, "scale": tuple(name for name in FIGURES if name.startswith("scale-"))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="What the product costs, measured here.")
    parser.add_argument("figure", choices=(*FIGURES, *GROUPS), nargs="+")
    parser.add_argument("--json", type=Path, help="write what was measured there too")
    parser.add_argument("--docs", type=Path, help="write tables and plots into this folder (make bench: docs)")
    parser.add_argument("--quick", action="store_true", help="shorter and noisier: to see that it works")
    parser.add_argument(
        "--pool",
        choices=POOLS,
        default=POOLS[0],
        help="of the workers in rate, urgent and roundtrips (default: custom)",
    )
    given = parser.parse_args(arguments)

    # The figures must not use the settings of the person who runs them.
    for name in os.environ.keys() - clean().keys():
        del os.environ[name]
    unwind_on(signal.SIGTERM)

    console = Console()
    results: dict[str, Any] = {}
    met = True
    wanted = dict.fromkeys(name for one in given.figure for name in GROUPS.get(one, (one,)))
    for name in wanted:
        began = time.monotonic()
        try:
            figure = _run(name, quick=given.quick, pool=given.pool)
        except Missing as why:
            console.print(f"{name} is left out: {why}\n")
            continue
        except Exception:  # noqa: BLE001 - the other figures follow
            console.print_exception()
            console.print(f"[red]{name} could not be measured[/]")
            met = False
            continue
        took = time.monotonic() - began
        figure.show(console)
        console.print(f"  [dim]{name} took {took:.0f} s[/]\n", highlight=False)
        met = met and figure.met
        results[name] = figure.to_json()
        if given.docs:
            Report(given.docs, FIGURES).add(figure, took, quick=given.quick)
        if given.json:
            given.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if met else 1


def _run(name: str, *, quick: bool, pool: str) -> Figure:
    module = importlib.import_module(f"ops.bench.figures.{name.replace('-', '_')}")
    with new_progress() as progress, bench(progress, quick=quick, pool=pool) as started:
        figure: Figure = module.run(started)
        return figure


if __name__ == "__main__":
    sys.exit(main())
