"""Serves the page. Its policy allows content only from the simulator itself, and only its own files as scripts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING

from mailer.simulator import web
from mailer.simulator.control.routing import NotThere, route
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from mailer.simulator.control.routing import Call, Route


_TYPES = {".html": b"text/html", ".css": b"text/css", ".js": b"text/javascript", ".svg": b"image/svg+xml"}
_HEADERS = {
    # frame-src also restricts links in a message's frame: they lead only to the simulator.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    return [
        route("GET", "/", _index),
        route("GET", "/_sim/ui", _index),
        route("GET", "/_sim/ui/{name}", _file),
    ]


async def _index(_call: Call) -> Reply:
    return _served("index.html")


async def _file(call: Call) -> Reply:
    return _served(call.path["name"])


def _served(name: str) -> Reply:
    found = next((each for each in files(web).iterdir() if each.name == name), None)
    kind = _TYPES.get(PurePath(name).suffix)
    if found is None or kind is None:
        raise NotThere("the page has no such file")
    return Reply(200, found.read_bytes(), content_type=kind + b"; charset=utf-8", headers=_HEADERS)
