"""An HTTP endpoint as a customer of SNS writes one: it confirms, and checks every signature from AWS's description."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

SIGNED = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
}


def verify(envelope: dict[str, str]) -> None:
    """Raises unless the certificate at SigningCertURL signed the envelope."""
    with urllib.request.urlopen(envelope["SigningCertURL"], timeout=30) as answer:  # noqa: S310 - loopback
        certificate = x509.load_pem_x509_certificate(answer.read())
    text = "".join(f"{name}\n{envelope[name]}\n" for name in SIGNED[envelope["Type"]] if name in envelope)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    algorithm = {"1": SHA1, "2": SHA256}[envelope["SignatureVersion"]]()
    key.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)


class Endpoint:
    """Keeps what was posted. ``answers`` are the statuses of the next posts; then 200. ``confirm`` as one should."""

    def __init__(self, *, confirm: bool = True) -> None:
        self.posts: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(endpoint.answers.pop(0) if endpoint.answers else 200)
                self.end_headers()
                if confirm and self.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
                    urllib.request.urlopen(json.loads(body)["SubscribeURL"], timeout=30).close()  # noqa: S310 - loopback

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/ses?from=test"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int) -> list[dict[str, Any]]:
        """The JSON of the first ``count`` posts, once they are there."""
        until(lambda: len(self.posts) >= count)
        return [json.loads(body) for _, body in self.posts[:count]]


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
