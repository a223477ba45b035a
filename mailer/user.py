"""Users of this host: their names, the user at the other end of a connection, and the users who are answered.

The kernel knows the user of an open socket. Linux reports root for a closed one, so this module reports nobody for it.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import pwd
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct
from typing import NamedTuple

Teller = Callable[["Ends"], int | None]
"""Returns the user's number. None means no such connection, or nobody holds its other end. May raise OSError."""

_log = logging.getLogger(__name__)

_ROOT = 0
_LOOPBACK = "127.0.0.1"
_HELD = frozenset({1, 4, 5, 8, 9, 11})
"""The states of an open or half-closed connection. The other states are those of listeners, and of connections before
and after their life."""

# From linux/netlink.h, sock_diag.h and inet_diag.h.
_SOCK_DIAG = 4
_BY_FAMILY = 20
_IS_REQUEST = 1
_HEADER = Struct("=IHHII")
_WANTED = Struct("=BBxxI")
_PORTS = Struct("!HH")
_INTERFACE_AND_COOKIE = Struct("=III")
_NO_COOKIE = 0xFFFFFFFF
_FOUND = Struct("=xBxx 48x 12x II")  # after the header: state, user and inode

_CREDENTIALS = Struct("=iII")
_WORD = Struct("=I")
_MAPPED = bytes(10) + b"\xff\xff"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def uid_of(user: str) -> int:
    """The number of ``user``, a name or a number. Raises ValueError for a name that this host does not know."""
    try:
        return int(user) if user.isascii() and user.isdecimal() else pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        raise ValueError(f"{user!r} is no user of this host: write a user's name, or a user's number") from None


class UserGuard:
    """Answers this user, root, and the users in ``allowed``: every user of a host reaches every port of its loopback
    interface. Raises ValueError for an unknown user.

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


class Ends(NamedTuple):
    """The two ends of a TCP connection: packed addresses, and ports."""

    own: bytes
    own_port: int
    other: bytes
    other_port: int

    @classmethod
    def of(cls, connection: socket.socket) -> Ends:
        own, other = connection.getsockname(), connection.getpeername()
        return cls(_packed(own[0]), own[1], _packed(other[0]), other[1])


def user_of_peer(connection: socket.socket, teller: Teller) -> int | None:
    """The number of the user who holds the other end; None if nobody does, or if the kernel does not say."""
    try:
        if connection.family == socket.AF_UNIX:
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(found)[1])
        return teller(Ends.of(connection))
    except OSError:  # the connection has ended
        return None


def find_teller() -> Teller | None:
    """The function that finds the users of connections on this system; None if no function does."""
    return next((each for each in (ask_kernel, read_table) if _tells(each)), None)


def ask_kernel(ends: Ends) -> int | None:
    """Ask sock_diag for this one connection. The time does not depend on the number of connections."""
    family = socket.AF_INET if len(ends.own) == 4 else socket.AF_INET6
    question = (
        _WANTED.pack(family, socket.IPPROTO_TCP, _NO_COOKIE)
        + _PORTS.pack(ends.other_port, ends.own_port)
        + ends.other.ljust(16, b"\0")
        + ends.own.ljust(16, b"\0")
        + _INTERFACE_AND_COOKIE.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
    header = _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _IS_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.send(header + question)
        # The kernel's answer is there when `send` returns.
        answer, (sender, _) = kernel.recvfrom(4096, socket.MSG_DONTWAIT)
    if sender != 0 or len(answer) < _HEADER.size + _FOUND.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    return _holder(*_FOUND.unpack_from(answer, _HEADER.size))


def read_table(ends: Ends) -> int | None:
    """Search all connections of the host, for kernels without sock_diag."""
    pairs = [(ends.other, ends.own)]
    if len(ends.own) == 4:  # the IPv6 table has the clients that use an IPv6 socket
        pairs.append((_MAPPED + ends.other, _MAPPED + ends.own))
    wanted = [f" {_shown(other)}:{ends.other_port:04X} {_shown(own)}:{ends.own_port:04X} " for other, own in pairs]
    for table in _TABLES:
        with Path(table).open(encoding="ascii") as lines:
            for line in lines:
                if any(each in line for each in wanted):
                    fields = line.split()
                    return _holder(int(fields[3], 16), int(fields[7]), int(fields[9]))
    return None


def _holder(state: int, uid: int, inode: int) -> int | None:
    return uid if state in _HELD and inode else None


def _tells(teller: Teller) -> bool:
    """Whether ``teller`` reports this user for a connection of our own."""
    with (
        socket.create_server((_LOOPBACK, 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        # As the server sees it. It does not accept: a stranger may have connected before.
        theirs, their_port, own, own_port = Ends.of(client)
        try:
            return teller(Ends(own, own_port, theirs, their_port)) == os.geteuid()
        except (OSError, AttributeError):  # the system lacks the table or the kind of socket
            return False


def _packed(address: str) -> bytes:
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    return number.packed


def _shown(address: bytes) -> str:
    """The address as the tables show it: each four bytes as a number in this machine's byte order."""
    return "".join(f"{number:08X}" for (number,) in _WORD.iter_unpack(address))
