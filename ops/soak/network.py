"""Simulated hosts: network namespaces on a bridge, with cables that can be pulled. Needs Linux, and root."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Self

_NETWORK = "10.213.77"


def lacking() -> str:
    """The reason why this machine cannot simulate hosts; empty if it can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    if shutil.which("ip") is None:
        return "needs the command ip, for network namespaces"
    made = subprocess.run(["ip", "netns", "add", "soak-probe"], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"needs network namespaces: {made.stderr.strip()}"
    _ip("netns", "del", "soak-probe")
    return ""


def host_address(host: int) -> str:
    """The address of a host of the network."""
    return f"{_NETWORK}.{host + 10}"


class Network:
    """A bridge with this machine at `address` and ``hosts`` namespaces on it. A context manager."""

    address = f"{_NETWORK}.1"

    def __init__(self, hosts: int) -> None:
        # An interface's name has at most 15 characters. The pid distinguishes two runs.
        self._mark = f"sk{os.getpid()}"
        self._hosts = range(hosts)

    def __enter__(self) -> Self:
        # Set the bridge's own address. Otherwise it takes a cable's address, and still hears that host after a cut.
        _ip("link", "add", self._mark, "address", "02:00:0a:d5:4d:01", "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self._mark)
        _ip("link", "set", self._mark, "up")
        for host in self._hosts:
            _ip("netns", "add", self._namespace(host))
            _ip("link", "add", self._cable(host), "type", "veth", "peer", "eth0", "netns", self._namespace(host))
            inside = ("-n", self._namespace(host))
            _ip(*inside, "address", "add", f"{host_address(host)}/24", "dev", "eth0")
            _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "link", "set", "eth0", "up")
            _ip("link", "set", self._cable(host), "master", self._mark, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            _ip("netns", "del", self._namespace(host), check=False)
        _ip("link", "del", self._mark, check=False)

    def inside(self, host: int) -> tuple[str, ...]:
        """The prefix of a command that runs it on ``host``."""
        return ("ip", "netns", "exec", self._namespace(host))

    def cut(self, host: int) -> None:
        """Pull the host's cable. Packets are dropped, and neither end notices."""
        _ip("link", "set", self._cable(host), "nomaster")

    def mend(self, host: int) -> None:
        _ip("link", "set", self._cable(host), "master", self._mark)

    def _namespace(self, host: int) -> str:
        return f"{self._mark}-{host}"

    def _cable(self, host: int) -> str:
        return f"{self._mark}v{host}"


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)
