"""A certificate authority and a server certificate for loopback and SES's own host names, made at the start."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

_NAMES = ("localhost", "*.localhost", "email-smtp.amazonaws.com", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files. A client must trust ``ca_file``. Each run of the simulator makes a new one."""

    ca_file: Path
    chain_file: Path
    key_file: Path

    @classmethod
    def make(cls, directory: Path, hosts: Sequence[str] = ()) -> Certificate:
        """Make an authority and a certificate for loopback and ``hosts``. Writes both to ``directory``."""
        named = [host for host in hosts if "_" not in host]
        if len(named) < len(hosts):
            _log.warning("A name with _ cannot be in a certificate: clients must use another name for TLS")
        authority = trustme.CA(organization_name="SES simulator")
        issued = authority.issue_cert(*dict.fromkeys([*_NAMES, *named]), common_name="localhost")
        made = cls(directory / "ca.pem", directory / "server.pem", directory / "server.key")
        authority.cert_pem.write_to_path(made.ca_file)
        for pem in issued.cert_chain_pems:
            pem.write_to_path(made.chain_file, append=True)
        made.key_file.touch(mode=0o600)
        issued.private_key_pem.write_to_path(made.key_file)
        return made

    def context(self) -> ssl.SSLContext:
        """A TLS context for the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.chain_file, self.key_file)
        return context
