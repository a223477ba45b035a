"""Flower, kept from other web pages: the same program with a guard before every path.

Flower itself asks nobody for the name by which it was called, so a page that rebinds its own name reads all it shows;
and with FLOWER_UNAUTHENTICATED_API it lets every page stop workers. ``celery -A mailer.worker flower`` is that one.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
from typing import TYPE_CHECKING, Any

from flower import command
from flower.app import Flower
from tornado.options import define, options
from tornado.web import OutputTransform, RequestHandler

from mailer import worker
from mailer.errors import SettingsError
from mailer.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_ANY_NAME = re.compile(r".*")
_PAGES = re.compile(r"/?|/tasks|/task/[^/]+|/login")
"""What a link from another page may lead to: none of them does anything, or asks the workers anything."""


def run(arguments: Sequence[str]) -> None:
    """Serve until a signal. ``arguments`` are those of Flower; --allow_host names a name that it is reached by."""
    define("allow_host", type=str, default=[], multiple=True, help="names by which it is reached, besides loopback's")
    # Flower runs the flowerconfig.py of the current folder, which may be anybody's: here one that is named.
    options.conf = os.devnull
    command.apply_env_options()
    command.apply_options("mailer flower", list(arguments))
    command.extract_settings()
    command.setup_logging()
    app = worker.celery
    guarded = GuardedFlower(capp=app, options=options, **command.settings)
    atexit.register(guarded.stop)
    signal.signal(signal.SIGTERM, command.sigterm_handler)
    port = guarded.start_http_server()
    command.print_banner(app, "ssl_options" in command.settings, port)
    try:
        guarded.start()
    except (KeyboardInterrupt, SystemExit):
        return


class GuardedFlower(Flower):
    """Flower's application. Behind a password it may have any name: a page that rebinds one does not know the word."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.add_transform(_Headers)
        has_password = bool(self.options.basic_auth or self.options.auth)
        try:
            self._guard = Guard(filter(None, self.options.allow_host), _ANY_NAME if has_password else None)
        except ValueError as error:
            raise SettingsError(f"--allow_host: {error}") from None
        self._prefix = f"/{self.options.url_prefix.strip('/')}" if self.options.url_prefix else ""

    def find_handler(self, request: HTTPServerRequest, **given: Any) -> Any:
        opens = (
            request.method == "GET"
            and not request.query
            and _PAGES.fullmatch(request.path.removeprefix(self._prefix)) is not None
        )
        refusal = self._guard.refusal(
            lambda name: request.headers.get(name, ""), address=_own_address(request), opens=opens
        )
        if refusal is None:
            return super().find_handler(request, **given)
        return self.get_handler_delegate(request, _Refused, {"text": refusal})


class _Refused(RequestHandler):
    def initialize(self, text: str) -> None:
        self._text = text

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._text}\n")

    def check_xsrf_cookie(self) -> None:
        """It is refused already."""


class _Headers(OutputTransform):
    """On every answer: no other page may frame it, and none may read it."""

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002 - as tornado calls it
    ) -> tuple[int, HTTPHeaders, bytes]:
        for name in [name for name in headers if name.lower().startswith("access-control-")]:
            del headers[name]
        headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        headers["X-Frame-Options"] = "DENY"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return status_code, headers, chunk


def _own_address(request: HTTPServerRequest) -> str:
    """To which the request came."""
    stream = getattr(request.connection, "stream", None)
    own = getattr(stream, "socket", None)
    if own is None or own.family not in {socket.AF_INET, socket.AF_INET6}:
        return ""
    return str(own.getsockname()[0])
