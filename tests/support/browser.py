"""Headless Chromium, spoken to over a pipe (``--remote-debugging-pipe``): no driver, no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1360,900",
]


_PATIENCE_SECONDS = 60.0  # of a machine with other things to do

# A shell would do, but dash knows no descriptor above 9.
_PLUMB = (
    "import fcntl, os, sys; held = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]; "
    "os.dup2(held[0], 3); os.dup2(held[1], 4); [os.close(each) for each in held]; os.execv(sys.argv[3], sys.argv[3:])"
)


class Page:
    """One page of a browser of its own."""

    def __init__(self, profile: Path, *flags: str) -> None:
        assert CHROMIUM is not None
        # Chromium reads commands from descriptor 3 and writes answers to 4, each ended by a NUL.
        commands_in, self._commands = os.pipe()
        self._answers, answers_out = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _PLUMB,
                f"{commands_in}",
                f"{answers_out}",
                CHROMIUM,
                *_FLAGS,
                *flags,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(commands_in, answers_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_in)
        os.close(answers_out)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """Everything Chromium told unasked: console messages, requests, navigations."""
        target = next(each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Until the expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()"):
            assert time.monotonic() < deadline, f"never came true: {script}"
            time.sleep(0.05)

    def frames(self) -> list[str]:
        """Where each frame with an origin of its own is."""
        targets = self.call("Target.getTargets")["targetInfos"]
        return [target["url"] for target in targets if target["type"] == "iframe"]

    def requested(self) -> list[str]:
        """Every URL that the page or a frame of it asked the network for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._answers], [], [], _PATIENCE_SECONDS)[0], "Chromium says nothing any more"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message
