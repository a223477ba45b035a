"""Ports on the loopback interface."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import time
from pathlib import Path

from mailer.user import find_teller, user_of_peer

LOOPBACK = "127.0.0.1"


_claims: list[int] = []


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nothing listens there and no other caller got it, else a port that the system picks."""
    if preferred and bindable(preferred) and _claim(preferred):
        return preferred
    return bindable(0)


def bindable(port: int) -> int:
    """``port`` if a server could listen there now, else 0. For port 0: a port that the system picks."""
    with socket.socket() as probe:
        # Servers do the same: a port with connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return 0
        found: int = probe.getsockname()[1]
        return found


def _claim(port: int) -> bool:
    """Keep others from getting the same port while nothing listens there yet. Holds until this process ends."""
    file = Path(tempfile.gettempdir()) / f"mailer-port-{port}-{os.getuid()}.lock"
    try:
        # Other users may write to the temporary folder too.
        claim = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        return False
    _claims.append(claim)
    return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether something listens on ``port``."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def is_ours(port: int) -> bool:
    """Whether a server of this user answers on ``port``. If the system does not show the user, any server counts.

    Another user's server may have taken the port first. It would receive data meant for ours.
    """
    teller = find_teller()
    if teller is None:
        return answers(port)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            deadline = time.monotonic() + 1
            # No process holds the other end until the server has accepted the connection.
            while (uid := user_of_peer(connection, teller)) is None and time.monotonic() < deadline:
                time.sleep(0.01)
            return uid == os.geteuid()
    except OSError:
        return False


def wait_for(port: int, seconds: float) -> bool:
    """Wait until a server of this user listens on ``port``. False if none does in time."""
    deadline = time.monotonic() + seconds
    while not is_ours(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
