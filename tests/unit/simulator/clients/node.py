"""The AWS SDK for JavaScript and Nodemailer: ``tour.mjs`` in a process, packages installed when first needed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from tests.unit.simulator.clients.client import Client, Mail, Outcome

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[3] / "build" / "clients"
_FILES = ("package.json", "package-lock.json", "tour.mjs")
_OLDEST_NODE = 20
_INSTALL_SECONDS = 300

Kind = Literal["ses", "sesv2", "nodemailer"]


class Node(Client):
    """``endpoint`` is a URL; of an SMTP server, ``smtp://host:port``."""

    def __init__(self, kind: Kind, endpoint: str, **environment: str) -> None:
        self.family = {"ses": "v1", "sesv2": "v2", "nodemailer": "smtp"}[kind]  # type: ignore[assignment]
        self._process = subprocess.Popen(
            ["node", "tour.mjs", kind, endpoint],
            cwd=_installed(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def send(self, mail: Mail) -> Outcome:
        answer = self._ask(to=mail.to, subject=mail.subject, text=mail.text, set=mail.configuration_set)
        return Outcome(accepted="id" in answer, ses_id=answer.get("id"), said=answer.get("said", ""))

    def used(self) -> float | None:
        return None if self.family == "smtp" else float(self._ask(used=True)["used"])

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = {name: value for name, value in asked.items() if value is not None}
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _installed() -> Path:
    """Where ``tour.mjs`` runs. Installed once for each lock file."""
    if shutil.which("npm") is None or _node_version() < _OLDEST_NODE:
        _do_without(f"there is no Node {_OLDEST_NODE} or later here")
    digest = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in _FILES)).hexdigest()
    folder = _CACHE / digest[:16]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            folder.mkdir(exist_ok=True)
            for name in _FILES:
                shutil.copy(_HERE / name, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
            )
            if ended.returncode:
                _do_without(f"npm could not install the clients: {ended.stderr[-500:]}")
            (folder / "installed").touch()
    return folder


def _node_version() -> int:
    if shutil.which("node") is None:
        return 0
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.lstrip("v").partition(".")[0])


def _do_without(reason: str) -> NoReturn:
    """These need Node.js and a package registry, which the project itself does not."""
    pytest.skip(reason)
