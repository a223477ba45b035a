"""Limits webhooks to this host's loopback and to the hosts named at the start.

A user of the control API must not make the simulator send requests to other hosts: a metadata service, a router, or
any other service in its network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


class Reach:
    """``hosts`` are names and addresses, as URLs write them."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(host.strip().lower().strip("[]") for host in hosts)

    def check(self, url: str) -> None:
        """Raise ValueError if a webhook may not lead to ``url``."""
        host = (urlsplit(url).hostname or "").lower()
        if host not in self._hosts and not _is_loopbacks(host):
            raise ValueError(
                f"a webhook to {host} may only be set at the start: webhooks lead to loopback, and to the hosts that "
                f"--allow-webhook names (--allow-webhook {host})"
            )

    async def addresses(self, host: str, port: int) -> list[str]:
        """Addresses of ``host`` to connect to directly: a second lookup of the name may give another host's."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        if host.lower() not in self._hosts:
            addresses = [each for each in addresses if ipaddress.ip_address(each).is_loopback]
        if not addresses:
            raise OSError(f"{host} is not at an address of loopback")
        return addresses


def _is_loopbacks(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
