"""Restrict the users of this host who are answered on its loopback interface, where every user reaches every port."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from mailer.peer import find_teller, user_of_peer
from mailer.user import name_of, uid_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

_log = logging.getLogger(__name__)

_ROOT = 0


class UserGuard:
    """Answers this user, root, and the users in ``allowed``. Raises ValueError for an unknown user.

    On a system that does not report the user of a connection, it answers every user. ``everybody`` is the instruction
    for answering every user on purpose; a refusal quotes it.
    """

    def __init__(self, allowed: Iterable[str], *, everybody: str) -> None:
        self._uids = {os.geteuid(), _ROOT, *map(uid_of, filter(None, allowed))}
        self._everybody = everybody
        self._teller = find_teller()
        if self._teller is None and sys.platform == "linux":
            _log.warning("this system does not tell whose a connection is: every user of this host is answered")

    def refusal(self, connection: socket.socket | None) -> str | None:
        """The reason for refusing the other end of ``connection``; None to allow it. Pass None for a closed one."""
        if self._teller is None:
            return None
        uid = None if connection is None else user_of_peer(connection, self._teller)
        if uid in self._uids:
            return None
        if uid is None:
            return f"it cannot be told which user of this host asks. If every user may, {self._everybody}"
        asking = name_of(uid)
        return (
            f"this port is for {name_of(os.geteuid())}, and {asking} asks. If that user may, say so at its start with "
            f"--allow-user={asking if ' ' not in asking else uid}"
        )
