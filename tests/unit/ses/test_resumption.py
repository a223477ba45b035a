"""TLS sessions of the hot path: the next connection resumes an earlier one's."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

from mailer.ses.access import ClientConfig
from mailer.ses.curl.transport import CurlTransport
from mailer.simulator.certificate import Certificate
from tests.support.servers import ACCEPTED, RawServer, read_request
from tests.unit.ses.conftest import a_message, in_parallel


class TlsServer(RawServer):
    """Takes mails over TLS 1.3 and notes, for each connection, whether it resumed a session."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(self._serve_tls)
        self.url = f"https://127.0.0.1:{self.port}"
        self.resumed: list[bool] = []
        self._context = certificate.context()
        self._lock = threading.Lock()

    def _serve_tls(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as connection:
                with self._lock:
                    self.resumed.append(connection.session_reused is True)
                while read_request(connection) is not None:
                    connection.sendall(ACCEPTED)
        except (OSError, ssl.SSLError):
            return


def test_a_connection_made_again_resumes_the_session_of_the_one_before(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    with (
        TlsServer(certificate) as server,
        CurlTransport(ClientConfig(endpoint_url=server.url, ca_bundle=str(certificate.ca_file))) as transport,
    ):
        for _ in range(4):
            assert transport.send(a_message()) == "id-1"
            transport.close()
        assert server.resumed == [False, True, True, True]


def test_connections_made_at_once_share_sessions_between_threads(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    with (
        TlsServer(certificate) as server,
        CurlTransport(ClientConfig(endpoint_url=server.url, ca_bundle=str(certificate.ca_file))) as transport,
    ):
        transport.send(a_message())
        transport.close()
        answers: list[str] = []
        in_parallel(8, lambda _: answers.append(transport.send(a_message())))
        assert answers == ["id-1"] * 8
        assert any(server.resumed[1:])
