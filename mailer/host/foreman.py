"""Runs the processes of a Procfile together, like honcho, but starts and stops them in order.

honcho stops everything at once and kills it five seconds later. Here the workers end before Redis, in which they settle
their last sends. They get the maximum duration of a send for that.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

from honcho.environ import parse_procfile
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

from mailer.errors import SettingsError
from mailer.host.child import end_with

_TURN_SECONDS = 0.1
_COLOURS = ("36", "33", "32", "35", "34", "31")


def procfile() -> dict[str, str]:
    """The name and command of each process in the Procfile. The file is beside this one in a wheel, else at the top of
    the repository.
    """
    here = Path(__file__)
    found = next(path for path in (here.with_name("Procfile"), here.parents[2] / "Procfile") if path.exists())
    processes: dict[str, str] = parse_procfile(found.read_text(encoding="utf-8")).processes
    return processes


@dataclass(frozen=True, slots=True)
class Service:
    """A process to run. ``stage`` 0 starts first and stops last.

    The next stage starts when ``is_ready`` returns true and enough ``ready_lines`` (a pattern, and the number of lines
    that must match it) have come, or after ``start_seconds``. After a stop signal the process has ``stop_seconds``. If
    an ``essential`` one ends, all end.
    """

    name: str
    command: str
    environment: Mapping[str, str]
    stage: int = 0
    is_ready: Callable[[], bool] | None = None
    ready_lines: tuple[re.Pattern[bytes], int] | None = None
    start_seconds: float = 40.0
    stop_seconds: float = 10.0
    essential: bool = True


class _Popen(Popen):  # type: ignore[misc]
    def __init__(self, command: str, **options: object) -> None:
        # Without a shell in between, a signal to the group reaches the process, and its end is visible at once.
        super().__init__(f"exec {command}", stdin=-3, preexec_fn=partial(end_with, os.getpid()), **options)


class Foreman:
    """Starts services stage by stage, and stops them in reverse order. Use it on the main thread.

    Raises SettingsError for a service that cannot be started, after the others have ended.
    """

    def __init__(self, services: Sequence[Service], on_ready: Callable[[], object] = lambda: None) -> None:
        self._services = services
        self._by_name = {service.name: service for service in services}
        self._on_ready = on_ready
        self._printer = Printer(sys.stdout, width=max(len(service.name) for service in services))
        self._events: queue.Queue[Message] = queue.Queue()
        self._pids: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._ready_lines: Counter[str] = Counter()
        self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Run until SIGTERM, SIGINT or the end of the terminal (exit code 0), or until an essential service ends (its
        exit code, at least 1).
        """
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            if self._start_all():
                self._on_ready()
                while not self._stopping:
                    self._turn()
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._code

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start_all(self) -> bool:
        for stage in sorted({service.stage for service in self._services}):
            services = [service for service in self._services if service.stage == stage]
            for service in services:
                self._start(service)
            for service in services:
                if not self._await(service):
                    return False
        return True

    def _start(self, service: Service) -> None:
        colour = _COLOURS[len(self._pids) % len(_COLOURS)]
        process = Process(service.command, name=service.name, colour=colour, env=dict(service.environment))
        process._child_ctor = _Popen  # noqa: SLF001 - honcho's hook for this purpose has no public name
        failed: list[Exception] = []

        def run() -> None:
            try:
                process.run(self._events)
            except (OSError, ValueError) as error:  # the fork itself failed
                failed.append(error)

        # The thread reads until the process ends. If it died earlier, the kernel would end the process.
        threading.Thread(target=run, name=service.name, daemon=True).start()
        while service.name not in self._pids:
            self._turn()
            if failed:
                raise SettingsError(f"{service.name} could not be started ({failed[0]}): {service.command}")

    def _await(self, service: Service) -> bool:
        deadline = time.monotonic() + service.start_seconds
        while not self._is_ready(service):
            self._turn()
            if self._stopping:
                return False
            if service.name in self._codes:
                return True
            if time.monotonic() > deadline:
                self._say(f"{service.name} was not ready in {service.start_seconds:g} s")
                if service.essential:
                    self._code = 1
                    return False
                return True
        return not self._stopping

    def _is_ready(self, service: Service) -> bool:
        if service.ready_lines is not None and self._ready_lines[service.name] < service.ready_lines[1]:
            return False
        return service.is_ready is None or service.is_ready()

    def _turn(self) -> None:
        """Print the output of the services, and note which have ended."""
        try:
            message = self._events.get(timeout=_TURN_SECONDS)
        except queue.Empty:
            return
        if message.type == "line":
            self._write(message)
            pattern = self._by_name[message.name].ready_lines
            if pattern is not None and pattern[0].search(message.data.rstrip()):
                self._ready_lines[message.name] += 1
        elif message.type == "start":
            self._pids[message.name] = message.data["pid"]
        elif message.type == "stop":
            self._codes[message.name] = message.data["returncode"]
            self._ended(message.name, message.data["returncode"])

    def _ended(self, name: str, code: int) -> None:
        if self._stopping:
            if code not in (0, -signal.SIGTERM):
                self._say(f"{name} ended with code {code}")
            return
        service = self._by_name[name]
        self._say(f"{name} ended with code {code}{': stopping the others' if service.essential else ''}")
        if service.essential:
            self._code = abs(code) or 1
            self._stopping = True

    def _stop_all(self) -> None:
        self._stopping = True
        for stage in sorted({service.stage for service in self._services}, reverse=True):
            services = [service for service in self._services if service.stage == stage]
            self._signal(services, signal.SIGTERM)
            deadline = time.monotonic() + max(service.stop_seconds for service in services)
            while self._running(services) and time.monotonic() < deadline:
                self._turn()
            for service in self._running(services):
                self._say(f"{service.name} did not stop in {service.stop_seconds:g} s and is killed")
                self._code = self._code or 1
            self._signal(services, signal.SIGKILL)
            while self._running(services):
                self._turn()

    def _signal(self, services: Sequence[Service], number: signal.Signals) -> None:
        for service in self._running(services):
            try:
                os.killpg(self._pids[service.name], number)
            except ProcessLookupError:
                continue

    def _running(self, services: Sequence[Service]) -> list[Service]:
        return [service for service in services if service.name in self._pids and service.name not in self._codes]

    def _say(self, line: str) -> None:
        self._write(Message(type="line", data=line, time=datetime.now().astimezone(), name="", colour=None))

    def _write(self, message: Message) -> None:
        # The terminal or the reader of the pipe may be gone.
        with suppress(OSError):
            self._printer.write(message)
