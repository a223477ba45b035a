"""A copy of the tree, to be edited and tried."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from ops.mutants.edit import REPOSITORY, Edit

SECONDS = 300
"""A mutant that still runs after this time hangs: that kills it too."""

_versions = itertools.count(1)


class Copy:
    """The tracked files of the repository in a temporary folder, which goes with the process."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mutant-")
        self.root = Path(self._folder.name)
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        for name in filter(None, listed.stdout.split("\0")):
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)

    def failure_with(self, edit: Edit) -> str:
        """The words of the tests that fail on the tree with this edit; empty if they pass."""
        path = self.root / edit.file
        before = path.read_text(encoding="utf-8")
        _write(path, edit.applied_to(before))
        try:
            return self.failure_of(edit.tests)
        finally:
            _write(path, before)

    def failure_of(self, tests: Iterable[str]) -> str:
        """The words of these tests if one fails on the tree as it is; empty if they pass."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not timing", *tests]
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        with subprocess.Popen(
            command, cwd=self.root, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                said, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                said = f"not done within {SECONDS} s"
            finally:
                # The servers and workers that the tests started.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return "" if process.returncode == 0 else said[-2000:]


def _write(path: Path, text: str) -> None:
    """Write a file with a time of its own: bytecode of an earlier text of the same length does not count."""
    path.write_text(text, encoding="utf-8")
    stamp = time.time() + 2 * next(_versions)
    os.utime(path, (stamp, stamp))
