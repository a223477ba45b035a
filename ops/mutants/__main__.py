"""``python -m ops.mutants [WORD...] [--jobs N]``: apply each edit to a copy of the tree, and run its tests.

A mutant is killed if a test fails, survives if all pass. Exit code 1 if one survives that ``edits.toml`` does not
explain, or if the tests fail without any edit. ``WORD`` picks the edits whose file or reason contains it.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ops.mutants.copy import Copy
from ops.mutants.edit import Edit, read


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.mutants", description="Break the code, and see a test fail.")
    parser.add_argument("word", nargs="*", help="only edits whose file or reason contains one of these")
    parser.add_argument("--jobs", type=int, default=2, help="copies that work side by side (default: 2)")
    given = parser.parse_args(arguments)
    edits = [edit for edit in read() if edit.matches(given.word)]
    console = Console()
    columns = (TextColumn("{task.description:40.40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    copies: SimpleQueue[Copy] = SimpleQueue()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(given.jobs) as pool:
        for _ in range(given.jobs):
            copies.put(Copy())
        selections = sorted({edit.tests for edit in edits})
        task = progress.add_task("without any edit", total=len(selections) + len(edits))

        def unbroken(tests: tuple[str, ...]) -> str:
            copy = copies.get()
            failed = copy.failure_of(tests)
            copies.put(copy)
            progress.advance(task)
            return failed

        broken = list(filter(None, pool.map(unbroken, selections)))
        if broken:
            console.print("These tests fail without any edit:", *broken, sep="\n", markup=False)
            return 1

        def killed(edit: Edit) -> bool:
            copy = copies.get()
            progress.update(task, description=edit.name)
            failure = copy.failure_with(edit)
            copies.put(copy)
            progress.advance(task)
            if not failure:
                progress.console.print(f"SURVIVES  {edit.name}: {edit.breaks}", markup=False, highlight=False)
            return bool(failure)

        survivors = [edit for edit, dead in zip(edits, pool.map(killed, edits), strict=True) if not dead]
    dead = len(edits) - len(survivors)
    console.print(f"{dead} of {len(edits)} mutants killed ({dead / max(1, len(edits)):.0%})", highlight=False)
    for edit in survivors:
        console.print(f"  {edit.name}: {edit.survives or 'NOT EXPLAINED'}", markup=False, highlight=False)
    return 1 if any(not edit.survives for edit in survivors) else 0


if __name__ == "__main__":
    sys.exit(main())
