"""The process that `ops.forked` has fork for it: it has imported all that a worker of Celery's needs, and nothing runs.

``python -m ops.zygote FD MODULE...`` imports the modules and is asked on the socket FD. A fork becomes what
``python -m MODULE`` would be: its environment, arguments, session and output are its own before any of its code runs.
When nobody can ask any more, what was forked is killed.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from importlib import import_module

from mailer.ses.credentials import open_session

REQUEST_BYTES = 2**17


@dataclass(frozen=True, slots=True)
class Wanted:
    """The program that a fork becomes."""

    module: str
    arguments: list[str]
    environment: dict[str, str]


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        import_module(name)
    _read_descriptions()
    # A collection would write to all pages, and each fork would then have its own.
    gc.freeze()
    wanted = _serve(control)
    if wanted is not None:
        _become(wanted)


def _read_descriptions() -> None:
    """Read the descriptions of services that a client of SES needs. Each fork has them then."""
    loader = open_session().get_component("data_loader")
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        loader.load_service_model("sesv2", kind)


def _serve(control: socket.socket) -> Wanted | None:
    """Returns in each fork what it is to become, and here None once nobody asks any more."""
    running: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    ended = key.fd
                    selector.unregister(ended)
                    os.close(ended)
                    _tell(control, *os.waitpid(running.pop(ended), 0))
                    continue
                text, outputs, _, _ = socket.recv_fds(control, REQUEST_BYTES, 2)
                if not text:
                    for pid in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                pid = os.fork()
                if not pid:
                    control.close()
                    for other in running:
                        os.close(other)
                    _take_over(outputs)
                    return Wanted(**json.loads(text))
                for output in outputs:
                    os.close(output)
                opened = os.pidfd_open(pid)
                running[opened] = pid
                selector.register(opened, selectors.EVENT_READ)
                _tell(control, pid, None)


def _tell(control: socket.socket, pid: int, status: int | None) -> None:
    control.send(json.dumps([pid, status]).encode())


def _take_over(outputs: list[int]) -> None:
    """Nothing to read, and what is written goes where it is wanted."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *outputs)):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _become(wanted: Wanted) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(wanted.environment)
    sys.argv[1:] = wanted.arguments
    runpy.run_module(wanted.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
