"""Flower with guards before every path, against other web pages and other users of the host.

Plain Flower does not check the host name of a request, so a page that rebinds its own name can read all of it. With
FLOWER_UNAUTHENTICATED_API every page can stop workers. Without a password it answers every user of the host.
``celery -A mailer.worker flower`` starts plain Flower.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flower import command
from flower.app import Flower
from tornado.options import define, options
from tornado.web import OutputTransform, RequestHandler

from mailer import worker
from mailer.errors import SettingsError
from mailer.guard import Guard, is_loopback
from mailer.user import UserGuard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_ANY_NAME = re.compile(r".*")
_PAGES = re.compile(r"/?|/tasks|/task/[^/]+|/login")
"""The paths that a link from another page may open. They change nothing and do not query the workers."""


def run(arguments: Sequence[str]) -> None:
    """Serve until a signal. ``arguments`` are Flower's, and two more. --allow_host gives a further host name of this
    service. --allow_user gives another user of this host, with the same rights as its own user."""
    define("allow_host", type=str, default=[], multiple=True, help="names by which it is reached, besides loopback's")
    define(
        "allow_user", type=str, default=[], multiple=True, help="users of this host who are answered without a password"
    )
    options.address = "127.0.0.1"  # the default; Flower's own default is every network
    # By default Flower runs flowerconfig.py of the current folder, which any user may have written. Here it only runs
    # a file that an option names.
    options.conf = os.devnull
    command.apply_env_options()
    command.apply_options("mailer flower", list(arguments))
    command.extract_settings()
    command.setup_logging()
    app = worker.celery
    guarded = GuardedFlower(capp=app, options=options, **command.settings)
    atexit.register(guarded.stop)
    signal.signal(signal.SIGTERM, command.sigterm_handler)
    try:
        port = guarded.start_http_server()
    except OSError as error:
        place = options.unix_socket or f"{options.address}:{options.port}"
        raise SettingsError(
            f"Flower cannot listen on {place} ({error.strerror or error}). Name another port with --port=N or "
            "FLOWER_PORT, or stop what listens there"
        ) from None
    command.print_banner(app, "ssl_options" in command.settings, port)
    with suppress(KeyboardInterrupt, SystemExit):
        guarded.start()


class GuardedFlower(Flower):
    """Flower's application with the guards. With a password it answers any host name and any user of the host: neither
    a user nor a page that rebinds a name knows the password."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.add_transform(_Headers)
        has_password = bool(self.options.basic_auth or self.options.auth)
        try:
            self._guard = Guard(filter(None, self.options.allow_host), _ANY_NAME if has_password else None)
        except ValueError as error:
            raise SettingsError(f"--allow_host: {error}") from None
        is_of_this_host = bool(self.options.unix_socket) or is_loopback(self.options.address)
        self._users: UserGuard | None = None
        if is_of_this_host and not has_password:
            try:
                self._users = UserGuard(self.options.allow_user, everybody="set FLOWER_BASIC_AUTH=user:password")
            except ValueError as error:
                raise SettingsError(f"--allow_user: {error}") from None
        self._prefix = f"/{self.options.url_prefix.strip('/')}" if self.options.url_prefix else ""

    def find_handler(self, request: HTTPServerRequest, **given: Any) -> Any:
        opens = (
            request.method == "GET"
            and not request.query
            and _PAGES.fullmatch(request.path.removeprefix(self._prefix)) is not None
        )
        own = _socket_of(request)
        refusal = self._users.refusal(own) if self._users is not None else None
        refusal = refusal or self._guard.refusal(
            lambda name: request.headers.get(name, ""), address=_address_of(own), opens=opens
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
        """Does nothing: the request is refused already."""


class _Headers(OutputTransform):
    """Adds headers to every answer: no other page may frame it or read it."""

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


def _socket_of(request: HTTPServerRequest) -> socket.socket | None:
    """The socket of the request; None for a closed one."""
    stream = getattr(request.connection, "stream", None)
    own: socket.socket | None = getattr(stream, "socket", None)
    return own


def _address_of(own: socket.socket | None) -> str:
    if own is None or own.family not in {socket.AF_INET, socket.AF_INET6}:
        return ""
    return str(own.getsockname()[0])
