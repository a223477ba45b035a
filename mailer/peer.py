"""Whose the other end of a connection is, where that end is on this host too: the kernel knows.

Only a socket that somebody holds has a user. Linux gives one that was closed to root, so that it is nobody's here.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import NamedTuple

Teller = Callable[["Ends"], int | None]
"""Gives the user's number; None where there is no such connection, or nobody holds its other end. May raise OSError."""

_LOOPBACK = "127.0.0.1"
_HELD = frozenset({1, 4, 5, 8, 9, 11})
"""States of a connection that is open, or half closed. In others it is none yet, or none any more, or a listener."""

# From linux/netlink.h, sock_diag.h and inet_diag.h.
_SOCK_DIAG = 4
_BY_FAMILY = 20
_IS_REQUEST = 1
_HEADER = Struct("=IHHII")
_WANTED = Struct("=BBxxI")
_PORTS = Struct("!HH")
_INTERFACE_AND_COOKIE = Struct("=III")
_NO_COOKIE = 0xFFFFFFFF
_FOUND = Struct("=xBxx 48x 12x II")  # behind the header: state, user and inode

_CREDENTIALS = Struct("=iII")
_WORD = Struct("=I")
_MAPPED = bytes(10) + b"\xff\xff"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


class Ends(NamedTuple):
    """Of a connection over TCP: packed addresses, and ports."""

    own: bytes
    own_port: int
    other: bytes
    other_port: int

    @classmethod
    def of(cls, connection: socket.socket) -> Ends:
        own, other = connection.getsockname(), connection.getpeername()
        return cls(_packed(own[0]), own[1], _packed(other[0]), other[1])


def user_of_peer(connection: socket.socket, teller: Teller) -> int | None:
    """The number of the user who holds the other end; None where nobody does, or it cannot be told."""
    try:
        if connection.family == socket.AF_UNIX:
            held: int = _CREDENTIALS.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )[1]
            return held
        return teller(Ends.of(connection))
    except OSError:  # it has ended
        return None


def find_teller() -> Teller | None:
    """What tells the users of connections on this system; None where nothing does."""
    return next((each for each in (ask_kernel, read_table) if _tells(each)), None)


def ask_kernel(ends: Ends) -> int | None:
    """By sock_diag, for this one connection: it takes as long however many there are."""
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
        # The kernel has answered by the time that `send` returns.
        answer, (sender, _) = kernel.recvfrom(4096, socket.MSG_DONTWAIT)
    if sender != 0 or len(answer) < _HEADER.size + _FOUND.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    return _holder(*_FOUND.unpack_from(answer, _HEADER.size))


def read_table(ends: Ends) -> int | None:
    """By reading through all the connections of the host: where the kernel has no sock_diag."""
    pairs = [(ends.other, ends.own)]
    if len(ends.own) == 4:  # a client that speaks IPv6 is in the other table
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
    """Whether it tells of a connection of ours that it is ours."""
    with (
        socket.create_server((_LOOPBACK, 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        own, other = server.getsockname(), client.getsockname()
        try:
            return teller(Ends(_packed(own[0]), own[1], _packed(other[0]), other[1])) == os.geteuid()
        except (OSError, AttributeError):  # no such table, or no such kind of socket
            return False


def _packed(address: str) -> bytes:
    number = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    return number.packed


def _shown(address: bytes) -> str:
    """As the tables show it: each four bytes as a number of this machine."""
    return "".join(f"{number:08X}" for (number,) in _WORD.iter_unpack(address))
