"""Programs for Node.js and their packages, installed as the lock file says when they are first needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from ops.bench.isolated import CACHE, Missing, locked

_OLDEST = 20
_INSTALL_SECONDS = 300


def version() -> str | None:
    """Node's version, as in 20.20.2; None without Node."""
    if shutil.which("node") is None:
        return None
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().lstrip("v")


def installed(source: Path) -> Path:
    """A folder with the programs of ``source`` and their packages, kept for the next run. Raises Missing."""
    found = version()
    if found is None or shutil.which("npm") is None or int(found.partition(".")[0]) < _OLDEST:
        raise Missing(f"there is no Node.js {_OLDEST} or later with npm here")
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    folder = CACHE / f"node-{digest[:16]}"
    with locked():
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, folder)
            # Not `npm ci`: to it a lock file without the native parts of other systems is no lock file.
            command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
            )
            if ended.returncode:
                raise Missing(f"npm could not install its packages: {ended.stderr.strip()[-300:]}")
            (folder / "installed").touch()
        for program in source.glob("*.mjs"):
            shutil.copy(program, folder)
    return folder
