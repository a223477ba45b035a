"""Which users of this host are answered on its loopback interface, where every one of them reaches every port."""

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
    """This user is answered, root, and the users that ``allowed`` names; ValueError for one whom nobody knows.

    Where the system does not tell whose a connection is, everybody is answered. ``everybody`` is how somebody gets
    that on purpose: a refusal says so.
    """

    def __init__(self, allowed: Iterable[str], *, everybody: str) -> None:
        self._uids = {os.geteuid(), _ROOT, *map(uid_of, filter(None, allowed))}
        self._everybody = everybody
        self._teller = find_teller()
        if self._teller is None and sys.platform == "linux":
            _log.warning("this system does not tell whose a connection is: every user of this host is answered")

    def refusal(self, connection: socket.socket | None) -> str | None:
        """Why the other end of a connection is refused, None if it is not. None for one that is closed."""
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
