"""Serves the page. Its policy allows content only from the simulator itself, and only its own files as scripts."""

from __future__ import annotations

from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "inbox.js": "text/javascript; charset=utf-8",
    "controls.js": "text/javascript; charset=utf-8",
    "forms.js": "text/javascript; charset=utf-8",
    "lists.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # frame-src also restricts links in a message's frame: they lead only to the simulator.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    return [
        Route("/", _index, methods=["GET"]),
        Route("/_sim/ui", _index, methods=["GET"]),
        Route("/_sim/ui/{name}", _file, methods=["GET"]),
    ]


async def _index(_request: Request) -> Response:
    return _served("index.html")


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404, "the page has no such file")
    return _served(name)


def _served(name: str) -> Response:
    content = files(__package__ or "").joinpath(name).read_bytes()
    return Response(content, headers=_HEADERS, media_type=_TYPES[name])
